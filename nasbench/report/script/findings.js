// What the runs found beside the front: the summary, the progress, and which choices matter.

// ---------- lead and summary

function drawLead() {
  find("title").textContent = page.title;
  document.title = page.title;
  find("sentences").replaceChildren(...page.runs.map((run) =>
    make("p", {}, page.runs.length > 1 ? make("span", { class: "run" }, `${run.name}: `) : null, run.sentence)));
}

function drawSummary() {
  const titles = [...new Set(page.runs.flatMap((run) => run.facts.map(([what]) => what)))];
  const columns = page.runs.map((run) => new Map(run.facts));
  const head = page.runs.length < 2 ? null : make("thead", {}, make("tr", {},
    make("td", {}), ...page.runs.map((run) => make("th", { scope: "col" }, run.name))));
  const rows = (some) => some.map((what) => make("tr", {}, make("th", { scope: "row" }, what),
    ...columns.map((column) => make("td", {}, column.get(what) || "-"))));
  const place = find("summary-table");
  place.classList.add("free", "pair");
  const half = head ? titles.length : Math.ceil(titles.length / 2);
  const parts = [titles.slice(0, half), titles.slice(half)].filter((some) => some.length);
  place.replaceChildren(...parts.map((some, at) => make("table", {}, at ? null : head, make("tbody", {}, ...rows(some)))));
  const notes = [...page.notes, ...page.runs.filter((run) => run.note).map((run) => `${run.name}: ${run.note}`)];
  find("notes").replaceChildren(...notes.map((text) => make("li", {}, text)));
  find("notes").hidden = !notes.length;
}

// ---------- progress

function drawProgress() {
  const over = find("progress-over").value;
  const runs = page.runs.filter((run) => run.kind === "search");
  find("progress").hidden = !runs.length;
  if (!runs.length) return;
  const longest = Math.max(0, ...runs.flatMap((run) => run.rows.over_time.ended_s.slice(-1))); // they are in order of time
  const unit = longest > 5400 ? ["hours", 3600] : longest > 90 ? ["minutes", 60] : ["seconds", 1];
  const series = allSeries();
  const traces = runs.map((run) => {
    const style = look(series.find((one) => one.run === run).index);
    const timed = run.rows.over_time;
    const [x, y, trials] = over === "time"
      ? [timed.ended_s.map((value) => value / unit[1]), timed.hypervolume, timed.row.map((row) => run.rows.trial[row])]
      : [run.rows.trial.map((trial) => trial + 1), run.rows.hypervolume, run.rows.trial];
    return {
      x, y, type: "scatter", mode: run.rows.trial.length < 60 ? "lines+markers" : "lines", name: plain(run.name),
      line: { color: style.color, dash: style.dash, width: 2, shape: "hv" }, marker: { symbol: style.symbol, size: 5, color: style.color },
      text: trials.map((trial, at) => plain(`${run.name}, after trial ${trial}: ${y[at].toFixed(4)}`)), hovertemplate: "%{text}<extra></extra>",
    };
  });
  const last = runs.map((run) => ({ run, value: run.rows.hypervolume[run.rows.hypervolume.length - 1] }));
  plot(find("progress-chart"), traces, {
    xaxis: { ...axisTitle(over === "time" ? `Time since the first trial (${unit[0]})` : "Trials"), rangemode: "tozero" },
    yaxis: { ...axisTitle(narrow() ? "Hypervolume" : "Hypervolume (share of the box)"), rangemode: "nonnegative" },
    showlegend: runs.length > 1, legend: { orientation: "h", y: -0.28, font: { color: color("ink") } },
  });
  const told = last.map(({ run, value }) => (known(value) ? `${run.name} ends at ${value.toFixed(4)} after ${plural(run.rows.trial.length, "trial")}` : `${run.name} has no trial yet`));
  find("progress-text").textContent = `Hypervolume is the share of a box, from accuracy 0 and the limits or the largest costs to the best conceivable point, that the front dominates by the figures of the search${runs.length > 1 ? "; all runs share one box" : ""}. ${told.join("; ")}.`;
}

// ---------- importance

function drawImportance() {
  const runs = page.runs.filter((run) => run.importance.length);
  const notes = page.runs.filter((run) => run.importance_note);
  find("importance").hidden = !runs.length && !notes.length;
  find("importance-chart").hidden = find("importance-for").parentElement.hidden = !runs.length;
  if (!runs.length) {
    find("importance-text").textContent = notes.map((run) => (page.runs.length > 1 ? `${run.name}: ${run.importance_note}` : run.importance_note)).join("; ");
    return;
  }
  const select = find("importance-for");
  const names = [...new Set(runs.flatMap((run) => run.importance.map((one) => one.objective)))];
  const chosen = names.includes(select.value) ? select.value : names[0];
  select.replaceChildren(...names.map((name) => make("option", { value: name, selected: name === chosen }, name)));
  const found = runs.flatMap((run) => run.importance.filter((one) => one.objective === chosen).map((one) => ({ run, one })));
  const most = 15;
  const order = [...new Set(found.flatMap(({ one }) => one.choices.slice(0, most)))].slice(0, most).reverse();
  const series = allSeries();
  const traces = found.map(({ run, one }, position) => {
    const style = look(series.find((each) => each.run === run).index);
    const rows = order.map((name) => one.choices.indexOf(name)).filter((at) => at >= 0);
    const share = rows.map((at) => 100 * one.share[at]);
    const offset = found.length > 1 ? (position / (found.length - 1) - 0.5) * 0.4 : 0;
    return {
      x: share, y: rows.map((at) => order.indexOf(one.choices[at]) + offset), type: "scatter", mode: "markers", name: plain(run.name),
      marker: { color: style.color, symbol: style.symbol, size: 10 },
      error_x: { type: "data", symmetric: false, array: rows.map((at, row) => 100 * one.high[at] - share[row]), arrayminus: rows.map((at, row) => share[row] - 100 * one.low[at]), thickness: 1.6, width: 4, color: style.color },
      text: rows.map((at) => plain(`${one.choices[at]}: ${(100 * one.share[at]).toFixed(1)} % (${(100 * one.low[at]).toFixed(1)} to ${(100 * one.high[at]).toFixed(1)})`)), hovertemplate: "%{text}<extra></extra>",
    };
  });
  find("importance-chart").style.height = `${Math.max(220, 96 + 26 * order.length)}px`;
  plot(find("importance-chart"), traces, {
    xaxis: { ...axisTitle(narrow() ? "Share of the variance (%)" : `Share of the variance of ${chosen} that a choice explains by itself (%)`), rangemode: "tozero" },
    yaxis: { tickvals: order.map((_, at) => at), ticktext: order.map((name) => plain(short(name, narrow() ? 22 : 40))), range: [-0.7, order.length - 0.3] },
    showlegend: found.length > 1, legend: { orientation: "h", y: -0.3 },
  });
  const first = found[0].one;
  const words = first.choices.slice(0, 3).map((name, at) => `${name} ${(100 * first.share[at]).toFixed(0)} % (${(100 * first.low[at]).toFixed(0)} to ${(100 * first.high[at]).toFixed(0)})`);
  find("importance-text").textContent = `By ${first.method}. For ${chosen} ${found.length > 1 ? `in ${found[0].run.name} ` : ""}matter most: ${words.join(", ")}. A wide bar means that so few trials do not tell.`;
}
