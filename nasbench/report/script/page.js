// The whole page: drawing it, listening, its theme, and asking for news while a search runs.

// ---------- the whole page

function drawSections() {
  const sections = [...document.querySelectorAll("main section")].filter((section) => !section.hidden);
  find("sections").replaceChildren(...sections.map((section) =>
    make("li", {}, make("a", { href: `#${section.id}` }, section.dataset.short))));
}

function drawAll() {
  drawLead();
  fillControls();
  drawFront();
  drawSummary();
  drawProgress();
  drawImportance();
  drawLatencies();
  drawFailures();
  drawMachine();
  drawRepeat();
  drawSections();
}

function listen() {
  for (const id of ["across", "upwards"]) {
    find(id).addEventListener("change", (event) => { front[id] = front.chosen[id] = event.target.value; drawFront(); });
  }
  find("log-across").addEventListener("change", (event) => { front.logs.set(front.across, event.target.checked); drawFront(); });
  for (const id of ["show-all", "show-names"]) find(id).addEventListener("change", drawFront);
  find("progress-over").addEventListener("change", drawProgress);
  find("importance-for").addEventListener("change", drawImportance);
  find("latencies-of").addEventListener("change", drawLatencies);
  find("machine-of").addEventListener("change", drawMachine);
  find("panel-close").addEventListener("click", () => find("panel").close());
  find("panel-previous").addEventListener("click", () => move(-1));
  find("panel-next").addEventListener("click", () => move(1));
  find("panel").addEventListener("click", (event) => { if (event.target === find("panel")) find("panel").close(); });
  for (const form of document.querySelectorAll("form")) form.addEventListener("submit", (event) => event.preventDefault());
  const chart = find("front-chart");
  chart.on("plotly_click", (event) => {
    const pair = event.points[0] && event.points[0].customdata;
    if (pair) openPanel(...pair);
  });
  chart.addEventListener("keydown", (event) => {
    const steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 };
    if (event.key in steps) { event.preventDefault(); step(steps[event.key]); }
    if (event.key === "Enter" && front.at >= 0 && front.at < front.order.length) openPanel(...front.order[front.at]);
  });
}

// ---------- light and dark

const THEMES = { "": "as the system", light: "light", dark: "dark" };

function recolor() {
  find("theme").textContent = `Theme: ${THEMES[document.documentElement.dataset.theme || ""]}`;
  drawFront();
  drawProgress();
  drawImportance();
  drawLatencies();
  drawMachine();
}

function startThemes() {
  try {
    const kept = localStorage.getItem("nasbench-theme");
    if (kept in THEMES && kept) document.documentElement.dataset.theme = kept;
  } catch { /* a browser may keep nothing for files */ }
  find("theme").textContent = `Theme: ${THEMES[document.documentElement.dataset.theme || ""]}`;
  find("theme").addEventListener("click", () => {
    const names = Object.keys(THEMES);
    const next = names[(names.indexOf(document.documentElement.dataset.theme || "") + 1) % names.length];
    if (next) document.documentElement.dataset.theme = next;
    else delete document.documentElement.dataset.theme;
    try { localStorage.setItem("nasbench-theme", next); } catch { /* as above */ }
    recolor();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolor);
  let wasNarrow = narrow();
  window.addEventListener("resize", () => {
    if (narrow() !== wasNarrow) { wasNarrow = narrow(); recolor(); }
  });
}

// ---------- while it runs

const live = { version: -1, silent: 0, state: null };
const LOOK_MS = 2000, HIDDEN_MS = 10000, PATIENCE = 3;

/** Say how it stands. A reader hears of a new state alone, and not of every number. */
function tellLive(state, count = "") {
  find("live").hidden = false;
  if (find("live-state").textContent !== state) find("live-state").textContent = state;
  find("live-count").textContent = count;
}

/** Ask for news; the document comes when it has changed. What the reader chose stays as it is. */
async function askForNews() {
  let news = null;
  try {
    news = await (await fetch("/version", { cache: "no-store" })).json();
    if (news.version !== live.version) {
      page = await (await fetch("/document", { cache: "no-store" })).json();
      live.version = news.version;
      refresh();
    }
    live.silent = 0;
  } catch {
    live.silent += 1;
  }
  // A last document that did not come is asked for again: what is shown is older.
  if (news && news.ended && (!news.last || news.version === live.version)) {
    tellLive(news.last ? "The search has ended. This is its last state; nasbench report writes it as a file, with the networks row by row."
      : `The search has ended, and its last state could not be read (${news.problem}). What was shown last stays here; nasbench report reads it again.`);
    return;
  }
  const count = `${plural(page.runs.reduce((sum, run) => sum + run.rows.trial.length, 0), "trial")} so far.`;
  if (live.silent >= PATIENCE) tellLive("The search has ended, or its view has died: it does not answer any more. What was shown last stays here.");
  else if (news && news.problem) tellLive(`The search is running, and cannot be read just now (${news.problem}). What was shown last stays here.`);
  else if (!live.silent) tellLive("The search is running.", ` ${count}`);
  setTimeout(askForNews, document.hidden || live.silent >= PATIENCE ? HIDDEN_MS : LOOK_MS);
}

/** Draw a new document, and give the focus back to the row that had it. */
function refresh() {
  const focused = document.activeElement;
  const text = focused && focused.closest("#front-rows") ? focused.textContent : null;
  const scrolled = find("front-rows").scrollTop;
  drawAll();
  placePanel();
  find("front-rows").scrollTop = scrolled;
  const again = text && [...find("front-rows").querySelectorAll("button")].find((button) => button.textContent === text);
  if (again) again.focus({ preventScroll: true });
}

// ---------- start

if (narrow()) find("show-names").checked = false;
startThemes();
drawAll();
listen();
if (page.live) askForNews();
document.documentElement.dataset.ready = "yes";
