// The Pareto front: what is shown of it, and its table.

// `across` and `upwards` are what is drawn; `chosen` and `logs` hold what the reader set, the log scale by the figure across.
const front = { shown: new Map(), order: [], at: -1, here: null, across: null, upwards: null, chosen: {}, logs: new Map(), content: null };

/** Every series of the page: its run, its name, its rows, and how it looks. */
function allSeries() {
  const found = [];
  page.runs.forEach((run, runIndex) => {
    run.rows.series.names.forEach((name, code) => {
      const rows = [];
      run.rows.series.codes.forEach((one, row) => { if (one === code) rows.push(row); });
      found.push({ run, runIndex, name, rows, index: found.length });
    });
    if (!run.rows.series.names.length) found.push({ run, runIndex, name: run.name, rows: [], index: found.length });
  });
  return found;
}

const seriesKey = (one) => `${one.runIndex} ${one.name}`;

/** What a row is known by when a live page is drawn again: rows move, and trials keep their numbers. */
const trialKey = (runIndex, row) => `${runIndex} ${page.runs[runIndex].rows.trial[row]}`;

function goTo(at) {
  front.at = at;
  front.here = at < 0 ? null : trialKey(...front.order[at]);
}

/** The place in the front that is so many steps on from here. */
const stepped = (by) => (front.at < 0 ? (by > 0 ? 0 : front.order.length - 1) : (front.at + by + front.order.length) % front.order.length);

function markOf(index) {
  const { symbol, dash } = look(index);
  const shapes = {
    circle: ["circle", { cx: 13, cy: 8, r: 4.5 }],
    square: ["rect", { x: 9, y: 4, width: 8, height: 8 }],
    "triangle-up": ["path", { d: "M13 3 L18 12 L8 12 Z" }],
    diamond: ["path", { d: "M13 2.5 L18 8 L13 13.5 L8 8 Z" }],
    "triangle-down": ["path", { d: "M13 13 L18 4 L8 4 Z" }],
    cross: ["path", { d: "M11 3 H15 V6 H18 V10 H15 V13 H11 V10 H8 V6 H11 Z" }],
    x: ["path", { d: "M9 3.5 L13 6.5 L17 3.5 L18 5 L15 8 L18 11 L17 12.5 L13 9.5 L9 12.5 L8 11 L11 8 L8 5 Z" }],
  };
  const [tag, where] = shapes[symbol];
  const fill = `var(--series-${index % SYMBOLS.length})`;
  const line = draw("line", { x1: 0, y1: 8, x2: 26, y2: 8, stroke: fill, "stroke-width": 1.5 });
  if (dash !== "solid") line.setAttribute("stroke-dasharray", dash === "dot" ? "2 2" : "5 2");
  return draw("svg", { viewBox: "0 0 26 16", class: "mark", "aria-hidden": "true" }, line, draw(tag, { ...where, fill }));
}

function fillControls() {
  const content = JSON.stringify([page.figures, page.runs.map((run) => run.rows.series.names)]);
  if (content === front.content) return; // a live page leaves alone what somebody may just be using
  front.content = content;
  const keys = page.figures.map((figure) => figure.key);
  const objectives = (page.runs.find((run) => run.objectives.length) || { objectives: [] }).objectives;
  const cost = (key) => known(key) && !figureOf(key).maximize;
  const has = (key) => keys.includes(key);
  const upwards = [front.chosen.upwards, "accuracy", ...objectives, ...keys].find((key) => has(key));
  const latencies = keys.filter((key) => figureOf(key).intervals);
  const costs = [...objectives.filter((key) => has(key) && cost(key)), ...latencies, ...keys];
  const across = has(front.chosen.across) ? front.chosen.across : costs.find((key) => key !== upwards) || upwards;
  [front.across, front.upwards] = [across, upwards];
  for (const [id, chosen] of [["across", across], ["upwards", upwards]]) {
    find(id).replaceChildren(...page.figures.map((figure) =>
      make("option", { value: figure.key, selected: figure.key === chosen }, figure.label)));
  }
  const series = allSeries();
  find("series").replaceChildren(make("legend", {}, "Show"), ...series.map((one) => {
    const box = make("input", { type: "checkbox", checked: front.shown.get(seriesKey(one)) !== false });
    box.addEventListener("change", () => { front.shown.set(seriesKey(one), box.checked); drawFront(); });
    return make("label", {}, box, markOf(one.index), make("span", { class: "series-label" }, one.name));
  }));
  find("series").hidden = series.length < 2;
}

/** The rows that no other row equals or beats in both figures and beats in one; equal rows stay. */
function nonDominated(rows, across, upwards) {
  const loss = (key, row, run) => (figureOf(key).maximize ? -1 : 1) * run.rows.figures[key].value[row];
  const points = rows.map(([run, row]) => [loss(across, row, run), loss(upwards, row, run), run, row]);
  points.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const kept = [];
  let best = Infinity, bestAt = NaN;
  for (const point of points) {
    if (point[1] < best || (point[1] === best && point[0] === bestAt)) {
      kept.push(point);
      [best, bestAt] = [point[1], point[0]];
    }
  }
  return kept.map(([, , run, row]) => [run, row]);
}

function placesOf(one, across, upwards) {
  const [x, y] = [one.run.rows.figures[across], one.run.rows.figures[upwards]];
  if (!x || !y) return [];
  return one.rows.filter((row) => one.run.rows.feasible[row] && known(x.value[row]) && known(y.value[row]));
}

function hoverOf(run, row, member) {
  const lines = [`<b>${plain(short(nameOf(run, row), 60))}</b>`];
  const label = run.kind === "search" && textOf(run.rows.name, row) ? `, trial ${run.rows.trial[row]}` : "";
  lines.push(plain(`${short(page.runs.length > 1 ? run.name + label : `${run.rows.architecture[row]}${label}`, 60)}`));
  for (const figure of page.figures) {
    const values = run.rows.figures[figure.key];
    if (!values || !known(values.value[row]) || lines.length > 9) continue;
    let text = `${figure.label}: ${show(values.value[row], figure.unit)}`;
    if (figure.intervals) {
      if (interval(values, row) !== "-") text += ` (${interval(values, row)})`;
      const verdict = textOf(values.verdict, row);
      if (verdict) text += `, ${verdict}`;
    }
    lines.push(plain(short(text, 90)));
  }
  if (member) lines.push(plain(short(`Front: ${member.standing}`, 90)));
  return lines.join("<br>");
}

/** Whether any of some rows has an interval; what was looked up in a table has none. */
function hasIntervals(run, key, rows) {
  const values = run.rows.figures[key];
  return Boolean(values) && figureOf(key).intervals && rows.some((row) => known(values.low[row]));
}

function errorOf(run, key, rows, scale) {
  const values = run.rows.figures[key];
  if (!hasIntervals(run, key, rows)) return undefined;
  const reach = (ends, sign) => rows.map((row) => // a row without an interval has no bar, not one of no length
    known(ends[row]) ? Math.max(0, sign * (ends[row] - values.value[row]) * scale.factor) : NaN);
  return { type: "data", symmetric: false, array: reach(values.high, 1), arrayminus: reach(values.low, -1), thickness: 1.6, width: 3 };
}

/** Whether values lie so far apart that a logarithmic axis shows them better. */
function spansFar(values) {
  let [low, high] = [Infinity, 0];
  for (const value of values) { low = Math.min(low, value); high = Math.max(high, value); }
  return low > 0 && high > 20 * low;
}

function rangeOf(values, log) {
  const shown = values.filter((value) => known(value) && (!log || value > 0));
  if (!shown.length) return [0, 1];
  let [low, high] = [Infinity, -Infinity];
  for (const value of shown) { low = Math.min(low, value); high = Math.max(high, value); }
  if (log) { low = Math.log10(low); high = Math.log10(high); }
  const pad = (high - low || Math.abs(high) || 1) * 0.07;
  return [low - pad, high + pad];
}

function drawFront() {
  const { across, upwards } = front;
  const place = find("front-chart");
  find("front-controls").hidden = find("front-hint").hidden = !page.figures.length;
  const series = allSeries().filter((one) => front.shown.get(seriesKey(one)) !== false);
  const shown = series.map((one) => ({ ...one, places: across ? placesOf(one, across, upwards) : [] }));
  const total = shown.reduce((sum, one) => sum + one.places.length, 0);
  const pick = (key) => shown.flatMap((one) => one.places.map((row) => one.run.rows.figures[key].value[row]));
  const [xs, ys] = across ? [pick(across), pick(upwards)] : [[], []];
  find("log-across").checked = front.logs.get(across) ?? spansFar(xs);
  const withAll = find("show-all").checked, withNames = find("show-names").checked;
  const log = find("log-across").checked && xs.every((value) => value > 0);
  const [xScale, yScale] = across
    ? [scaleFor(figureOf(across).unit, xs), scaleFor(figureOf(upwards).unit, ys)] : [{ name: "", factor: 1 }, { name: "", factor: 1 }];
  const traces = [], names = [];
  front.order = [];
  for (const one of shown) drawSeries(one, traces, names, { xScale, yScale, withAll, log });
  front.at = front.order.findIndex((pair) => trialKey(...pair) === front.here);
  const annotations = withNames ? placeNames(names, xs, ys, xScale, yScale, log) : [];
  if (!total) {
    annotations.push({ text: "no candidate has both figures<br>and is within the limits", showarrow: false, xref: "paper", yref: "paper", x: 0.5, y: 0.5, font: { color: color("soft"), size: 15 } });
  }
  const xRange = rangeOf(xs.map((value) => value * xScale.factor), log);
  const yRange = rangeOf(ys.map((value) => value * yScale.factor), false);
  const shapes = total ? limitShapes(shown, { xScale, yScale, xRange, yRange, log }, annotations) : [];
  place.classList.toggle("bare", !total);
  plot(place, traces, {
    xaxis: { ...axisTitle(across ? titled(figureOf(across).label, xScale) : ""), type: log ? "log" : "linear", range: xRange, visible: total > 0 },
    yaxis: { ...axisTitle(across ? titled(figureOf(upwards).label, yScale) : ""), range: yRange, visible: total > 0 },
    shapes, annotations, uirevision: `${across} ${upwards} ${log}`,
  });
  describeFront(shown, total);
  fillFrontRows(shown);
}

function drawSeries(one, traces, names, { xScale, yScale, withAll, log }) {
  const { run, runIndex, places } = one;
  const { across, upwards } = front;
  const style = look(one.index);
  const members = new Map(run.members.map((member) => [member.row, member]));
  const values = (key, rows, scale) => rows.map((row) => run.rows.figures[key].value[row] * scale.factor);
  const flat = nonDominated(places.map((row) => [run, row]), across, upwards);
  const stays = run.kind === "search"
    ? places.filter((row) => members.has(row) && !members.get(row).fell) : flat.map(([, row]) => row);
  const fallen = places.filter((row) => members.has(row) && members.get(row).fell);
  const special = new Set([...stays, ...fallen]);
  const rest = places.filter((row) => !special.has(row));
  const add = (rows, extra) => {
    if (!rows.length) return;
    traces.push({
      x: values(across, rows, xScale), y: values(upwards, rows, yScale), mode: "markers",
      text: rows.map((row) => hoverOf(run, row, members.get(row))), hovertemplate: "%{text}<extra></extra>",
      customdata: rows.map((row) => [runIndex, row]), type: "scatter", name: plain(one.name), ...extra,
    });
  };
  if (withAll) {
    const many = rest.length > MANY && hasGraphics;
    add(rest, {
      type: many ? "scattergl" : "scatter",
      marker: { color: style.color, symbol: style.symbol, size: rest.length > MANY ? 4 : 6, opacity: rest.length > 300 ? 0.35 : 0.5 },
    });
  }
  const staircase = nonDominated((run.kind === "search" && run.confirmed ? places.filter((row) => !fallen.includes(row)) : places)
    .map((row) => [run, row]), across, upwards).map(([, row]) => row);
  if (across !== upwards && staircase.length > 1) {
    traces.push({
      x: values(across, staircase, xScale), y: values(upwards, staircase, yScale), type: "scatter", mode: "lines",
      line: { color: style.color, dash: style.dash, width: 1.5, shape: figureOf(across).maximize ? "vh" : "hv" }, hoverinfo: "skip",
    });
  }
  add(fallen, {
    error_x: errorOf(run, across, fallen, xScale), error_y: errorOf(run, upwards, fallen, yScale),
    marker: { color: color("fallen"), symbol: `${style.symbol}-open`, size: 11, line: { width: 2, color: color("fallen") } },
  });
  add(stays, {
    error_x: errorOf(run, across, stays, xScale), error_y: errorOf(run, upwards, stays, yScale),
    marker: { color: style.color, symbol: style.symbol, size: 11, line: { width: 1.2, color: color("paper") } },
  });
  const starts = run.kind === "search" ? places.filter((row) => textOf(run.rows.name, row)) : [];
  add(starts, { marker: { color: color("paper"), symbol: "star", size: 14, line: { width: 1.6, color: style.color } } });
  names.push(...(run.kind === "search" ? starts : stays).map((row) => [run, row]));
  const inOrder = [...stays].sort((a, b) => run.rows.figures[across].value[a] - run.rows.figures[across].value[b]);
  front.order.push(...inOrder.map((row) => [runIndex, row]));
}

/** Names beside their points: the leftmost first, and none where it would lie on another. */
function placeNames(names, xs, ys, xScale, yScale, log) {
  const place = find("front-chart");
  const [width, height] = [place.clientWidth - 90, place.clientHeight - 70];
  const [xRange, yRange] = [rangeOf(xs.map((x) => x * xScale.factor), log), rangeOf(ys.map((y) => y * yScale.factor), false)];
  const taken = [], placed = [];
  const points = names.map(([run, row]) => {
    const x = run.rows.figures[front.across].value[row] * xScale.factor, y = run.rows.figures[front.upwards].value[row] * yScale.factor;
    const at = log ? Math.log10(x) : x;
    const text = short(textOf(run.rows.name, row) || `trial ${run.rows.trial[row]}`, 32);
    return { x: at, y, text, left: ((at - xRange[0]) / (xRange[1] - xRange[0])) * width, top: ((yRange[1] - y) / (yRange[1] - yRange[0])) * height };
  });
  const dots = points.map((point) => ({ left: point.left - 6, right: point.left + 6, top: point.top - 6, bottom: point.top + 6 }));
  const seen = new Set();
  for (const point of points.sort((a, b) => a.left - b.left)) {
    if (seen.has(point.text)) continue;
    const size = 7.2 * point.text.length;
    const free = [["left", 10, 16], ["left", 10, -16], ["right", -10, -16], ["right", -10, 16], ["left", 14, 0]].find(([anchor, dx, dy]) => {
      const left = point.left + dx - (anchor === "right" ? size : 0);
      const box = { left, right: left + size, top: point.top + dy - 8, bottom: point.top + dy + 8 };
      const clash = [...taken, ...dots].some((other) => box.left < other.right && box.right > other.left && box.top < other.bottom && box.bottom > other.top);
      if (clash || box.left < 0 || box.right > width || box.top < 0 || box.bottom > height) return false;
      taken.push(box);
      placed.push({ x: point.x, y: point.y, text: plain(point.text), showarrow: false, xanchor: anchor, yanchor: "middle", xshift: dx, yshift: -dy, font: { size: 12, color: color("ink") } });
      return true;
    });
    if (free) seen.add(point.text);
  }
  return placed;
}

/** The region that the limits of the first run with some allow, and a line along each. */
function limitShapes(shown, { xScale, yScale, xRange, yRange, log }, annotations) {
  const limits = Object.assign({}, ...shown.map((one) => one.run.limits).reverse());
  const at = (key, scale, logged) => {
    if (!(key in limits)) return null;
    const value = limits[key] * scale.factor;
    return logged ? Math.log10(value) : value;
  };
  const [x, y] = [at(front.across, xScale, log), at(front.upwards, yScale, false)];
  const wide = (range) => [range[0] - 20 * (range[1] - range[0]), range[1] + 20 * (range[1] - range[0])];
  const [xWide, yWide] = [wide(xRange), wide(yRange)];
  const exact = (value) => (log ? 10 ** value : value); // shapes of a logarithmic axis are in its values
  const shapes = [];
  const line = { color: color("warn"), width: 1.5, dash: "dash" };
  if (known(x) || known(y)) {
    shapes.push({
      type: "rect", layer: "below", line: { width: 0 }, fillcolor: color("region"),
      x0: exact(Math.max(xWide[0], log ? -300 : xWide[0])), x1: exact(known(x) ? x : Math.min(xWide[1], log ? 300 : xWide[1])),
      y0: figureOf(front.upwards).maximize ? (known(y) ? y : yWide[0]) : yWide[0], y1: figureOf(front.upwards).maximize ? yWide[1] : (known(y) ? y : yWide[1]),
    });
  }
  if (known(x)) {
    shapes.push({ type: "line", xref: "x", yref: "paper", x0: exact(x), x1: exact(x), y0: 0, y1: 1, line });
    if (x <= xRange[1]) annotations.push({ x, yref: "paper", y: 0, text: `limit ${show(limits[front.across], figureOf(front.across).unit)}`, showarrow: false, xanchor: "right", yanchor: "bottom", xshift: -4, font: { color: color("warn"), size: 12 } });
  }
  if (known(y)) {
    shapes.push({ type: "line", xref: "paper", yref: "y", x0: 0, x1: 1, y0: y, y1: y, line });
    if (y <= yRange[1]) annotations.push({ y, xref: "paper", x: 1, text: `limit ${show(limits[front.upwards], figureOf(front.upwards).unit)}`, showarrow: false, xanchor: "right", yanchor: "top", font: { color: color("warn"), size: 12 } });
  }
  return shapes;
}

function describeFront(shown, total) {
  if (!front.across) {
    find("front-text").textContent = "No candidate has a figure that could be drawn.";
    return;
  }
  const [x, y] = [figureOf(front.across), figureOf(front.upwards)];
  const parts = [`${y.label} against ${x.label.toLowerCase()} of ${plural(total, "candidate")}.`];
  if (front.order.length) {
    const say = ([runIndex, row]) => {
      const values = page.runs[runIndex].rows.figures;
      return `${show(values[y.key].value[row], y.unit)} at ${show(values[x.key].value[row], x.unit)}`;
    };
    parts.push(`Large marks are the front, from ${say(front.order[0])} to ${say(front.order[front.order.length - 1])}; the line goes through the best of these two figures.`);
  }
  if (shown.some((one) => hasIntervals(one.run, x.key, one.places) || hasIntervals(one.run, y.key, one.places))) parts.push("Bars are 95 % intervals of the latency.");
  if (y.key === "accuracy" && shown.some((one) => one.run.kind === "bench")) parts.push("The top-1 of a bench is what its source publishes, with its own training; nothing of it was taken here.");
  if (shown.some((one) => one.run.members.some((member) => member.fell))) parts.push("Open grey marks fell off when the front was confirmed.");
  if (shown.some((one) => one.run.kind === "search" && one.run.rows.name.names.length)) parts.push("Stars are the networks that the search started from.");
  if (shown.some((one) => Object.keys(one.run.limits).some((key) => key === x.key || key === y.key))) parts.push("The tinted region is within the limits.");
  find("front-text").textContent = parts.join(" ");
  find("front-chart").setAttribute("aria-label", `Chart: ${parts[0]}`);
}

function fillFrontRows(shown) {
  const rows = [];
  for (const one of shown) {
    if (one.run.kind === "search") {
      if (one.rows.length) rows.push(...one.run.members.map((member) => ({ run: one.run, runIndex: one.runIndex, row: member.row, member })));
    } else rows.push(...one.rows.map((row) => ({ run: one.run, runIndex: one.runIndex, row, series: one.name })));
  }
  const sorted = front.across ? rows.sort((a, b) => sortKey(a) - sortKey(b)) : rows;
  const searches = rows.some((one) => one.member), several = new Set(rows.map((one) => one.series || one.run.name)).size > 1;
  const figures = page.figures.filter((figure) => rows.some((one) => one.run.rows.figures[figure.key])).slice(0, 6);
  const value = (figure) => (one) => {
    const values = one.run.rows.figures[figure.key];
    return values ? show(values.value[one.row], figure.unit) : "-";
  };
  const columns = [["Network", (one) => make("button", { type: "button", class: "link", onclick: () => openPanel(one.runIndex, one.row) }, nameOf(one.run, one.row)), "name"]];
  if (several) columns.push(["Run", (one) => one.series || one.run.name, "name"]);
  for (const figure of figures) {
    columns.push([figure.label, value(figure), "number"]);
    if (figure.intervals) {
      columns.push(["95 % interval", (one) => (one.run.rows.figures[figure.key] ? interval(one.run.rows.figures[figure.key], one.row) : "-"), "number"]);
      columns.push(["Verdict", (one) => textOf((one.run.rows.figures[figure.key] || {}).verdict, one.row) || "-", null]);
    }
  }
  if (searches) columns.push(["Confirmed", (one) => (one.member ? one.member.standing : "-"), "long"]);
  if (rows.length) fillTable(find("front-rows"), columns, sorted, (one) => (one.member && one.member.fell ? "fell" : null));
  else find("front-rows").replaceChildren(make("p", { class: "note" }, "There is no front."));
}

function sortKey(one) {
  const values = one.run.rows.figures[front.across];
  const value = values ? values.value[one.row] : null;
  return known(value) ? value : Infinity;
}

/** Go along the front with the keyboard: show what hovering would, and say it. */
function step(by) {
  if (!front.order.length) return;
  goTo(stepped(by));
  const [runIndex, row] = front.order[front.at];
  const [place, traces] = charts.get("front-chart");
  const targets = [];
  traces.forEach((trace, curveNumber) => (trace.customdata || []).forEach((pair, pointNumber) => {
    if (pair[0] === runIndex && pair[1] === row && trace.type === "scatter") targets.push({ curveNumber, pointNumber });
  }));
  if (targets.length) Plotly.Fx.hover(place, targets.slice(-1));
  const run = page.runs[runIndex];
  const said = [front.upwards, front.across].map((key) => `${figureOf(key).label} ${show(run.rows.figures[key].value[row], figureOf(key).unit)}`);
  find("announce").textContent = `${nameOf(run, row)}, ${said.join(", ")}, ${front.at + 1} of ${front.order.length}`;
}
