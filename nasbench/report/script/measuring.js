// What the figures rest on: latencies, failures, the machine, and how to repeat it.

// ---------- latencies

function drawLatencies() {
  const all = page.runs.flatMap((run, runIndex) => run.samples.map((samples) =>
    ({ run, samples, key: `${trialKey(runIndex, samples.row)} ${samples.device}` })));
  find("latencies").hidden = !all.length;
  if (!all.length) return;
  const devices = new Set(all.map((one) => one.samples.device)).size > 1;
  const nameIt = (one) => [nameOf(one.run, one.samples.row), devices ? one.samples.device : null, page.runs.length > 1 ? one.run.name : null].filter(Boolean).join(", ");
  const select = find("latencies-of");
  const chosen = all.find((one) => one.key === select.value);
  select.replaceChildren(make("option", { value: "", selected: !chosen }, `all ${all.length}, as distances`),
    ...all.map((one) => make("option", { value: one.key, selected: one === chosen }, nameIt(one))));
  (chosen ? drawOneLatency : drawAllLatencies)(chosen || all, nameIt);
}

const LOW = 1, QUARTER = 5, MIDDLE = 10, THREE_QUARTERS = 15, HIGH = 19; // of the quantiles 0, 5, ... 100 %

function boxTrace(rows, y, style) {
  const at = (index) => rows.map((row) => row[index]);
  return {
    type: "box", orientation: "h", y, q1: at(QUARTER), median: at(MIDDLE), q3: at(THREE_QUARTERS), lowerfence: at(LOW), upperfence: at(HIGH),
    line: { color: style.color, width: 1.3 }, fillcolor: color("region"), width: 0.55, hoverinfo: "skip",
  };
}

function drawAllLatencies(all, nameIt) {
  const place = find("latencies-chart");
  const away = (one, value) => 100 * (value / one.samples.latency_s - 1);
  const y = all.map((_, index) => all.length - 1 - index);
  const style = look(0);
  const boxes = all.map((one) => one.samples.pooled.map((value) => away(one, value)));
  const medians = all.flatMap((one, index) => one.samples.processes.length > 1 ? one.samples.processes.map((process) => [away(one, process[MIDDLE]), y[index]]) : []);
  const bars = all.map((one, index) => ({ index, low: one.samples.low_s, high: one.samples.high_s })).filter((one) => known(one.low) && known(one.high));
  const traces = [boxTrace(boxes, y, style), {
    type: "scatter", mode: "markers", x: medians.map((one) => one[0]), y: medians.map((one) => one[1] - 0.34), hoverinfo: "skip",
    marker: { symbol: "line-ns-open", size: 9, color: color("ink"), line: { width: 1.5, color: color("ink") } },
  }, {
    type: "scatter", mode: "markers", x: all.map(() => 0), y, marker: { size: 8, color: color("paper"), line: { color: color("ink"), width: 1.6 } },
    error_x: { type: "data", symmetric: false, array: all.map((one) => (known(one.samples.high_s) ? away(one, one.samples.high_s) : NaN)), arrayminus: all.map((one) => (known(one.samples.low_s) ? -away(one, one.samples.low_s) : NaN)), color: color("ink"), thickness: 2.4, width: 0 },
    text: all.map((one) => plain(`${nameIt(one)}: ${show(one.samples.latency_s, "s")}${known(one.samples.low_s) ? ` (${show(one.samples.low_s, "s")} to ${show(one.samples.high_s, "s")})` : ""}, ${one.samples.verdict}; ${one.samples.count.toLocaleString("en")} samples of ${plural(one.samples.processes.length, "process").replace("processs", "processes")}, ${one.samples.masked} masked`)),
    hovertemplate: "%{text}<extra></extra>",
  }];
  place.style.height = `${Math.max(260, 96 + 30 * all.length)}px`;
  plot(place, traces, {
    xaxis: { ...axisTitle(narrow() ? "Distance from the latency (%)" : "Distance of a sample from the latency that is reported (%)"), zeroline: true, zerolinecolor: color("line") },
    yaxis: { tickvals: y, ticktext: all.map((one) => plain(`${short(nameIt(one), narrow() ? 18 : 36)}`)), range: [-0.8, all.length - 0.2] },
  });
  const widest = bars.length ? all[bars.reduce((a, b) => (b.high / b.low > a.high / a.low ? b : a)).index] : null;
  find("latencies-text").textContent = `A box holds half of a row's samples and its whiskers 90 %; the circle is the latency with its 95 % interval, and ticks below are the medians of its processes. ${widest ? `The widest interval is that of ${nameIt(widest)}: ${show(widest.samples.low_s, "s")} to ${show(widest.samples.high_s, "s")}.` : ""}`;
}

function drawOneLatency(one, nameIt) {
  const place = find("latencies-chart");
  const { samples } = one;
  const scale = scaleFor("s", [samples.latency_s]);
  const count = samples.processes.length;
  const y = samples.processes.map((_, index) => count - 1 - index);
  const boxes = samples.processes.map((process) => process.map((value) => value * scale.factor));
  const shapes = known(samples.low_s) ? [{ type: "rect", yref: "paper", y0: 0, y1: 1, x0: samples.low_s * scale.factor, x1: samples.high_s * scale.factor, fillcolor: color("region"), line: { width: 0 }, layer: "below" }] : [];
  shapes.push({ type: "line", yref: "paper", y0: 0, y1: 1, x0: samples.latency_s * scale.factor, x1: samples.latency_s * scale.factor, line: { color: color("ink"), width: 1.5, dash: "dash" } });
  place.style.height = `${Math.max(220, 96 + 30 * count)}px`;
  plot(place, [boxTrace(boxes, y, look(0)), {
    type: "scatter", mode: "markers", x: boxes.map((row) => row[MIDDLE]), y, marker: { size: 7, color: look(0).color },
    text: boxes.map((row, index) => plain(`process ${index + 1}: median ${digits(row[MIDDLE])} ${scale.name}, half within ${digits(row[QUARTER])} to ${digits(row[THREE_QUARTERS])}`)), hovertemplate: "%{text}<extra></extra>",
  }], {
    xaxis: axisTitle(`Latency (${scale.name})`), yaxis: { tickvals: y, ticktext: y.map((_, index) => `process ${index + 1}`), range: [-0.8, count - 0.2] }, shapes,
  });
  find("latencies-text").textContent = `${nameIt(one)} on ${samples.device}: ${show(samples.latency_s, "s")}${known(samples.low_s) ? `, 95 % interval ${show(samples.low_s, "s")} to ${show(samples.high_s, "s")} (tinted)` : ""}, ${samples.verdict}, from ${plural(samples.count, "sample")} of which ${samples.masked} were masked. A box is one process: half of its samples, whiskers 90 %.`;
}

// ---------- failures

const MEANINGS = {
  complete: "evaluated whole", pruned: "estimate ended early, it was in the worse half", infeasible: "beyond a limit",
  duplicate: "a network that was evaluated before", build_error: "the network cannot be built", shape_error: "its rows do not fit each other",
  nan_output: "its output or loss is NaN or infinite", out_of_memory: "it took more memory than allowed", timeout: "a phase took too long",
  crashed: "its process died", invalid: "its measurement contradicts itself", failed: "something else went wrong",
};

function drawFailures() {
  const rows = [];
  for (const run of page.runs) {
    const counts = new Map();
    run.rows.status.codes.forEach((code) => counts.set(code, (counts.get(code) || 0) + 1));
    for (const [code, count] of [...counts].sort((a, b) => b[1] - a[1])) rows.push({ run, status: run.rows.status.names[code], count, total: run.rows.status.codes.length });
  }
  const named = page.runs.length > 1 ? [["Run", (one) => one.run.name, "name"]] : [];
  if (rows.length) {
    fillTable(find("statuses"), [...named, ["Outcome", (one) => one.status, null], ["Candidates", (one) => one.count.toLocaleString("en"), "number"], ["Share", (one) => {
      const bar = make("span", { class: "meter", "aria-hidden": "true" });
      bar.style.width = `${(100 * one.count) / one.total}%`;
      return make("span", {}, bar, `${((100 * one.count) / one.total).toFixed(1)} %`);
    }, "meter-cell"], ["Meaning", (one) => MEANINGS[one.status] || "", "long"]], rows);
  } else find("statuses").replaceChildren(make("p", { class: "note" }, "No candidate was tried yet."));
  const reasons = page.runs.flatMap((run) => run.failures.map((reason) => ({ run, reason })));
  find("reasons").hidden = !reasons.length;
  fillTable(find("reasons"), [...named, ["Failure", (one) => one.reason.status, null], ["Reason", (one) => one.reason.error || "no reason was given", "long"],
    ["Candidates", (one) => one.reason.count.toLocaleString("en"), "number"], ["Trials", (one) => one.reason.trials.join(", ") + (one.reason.count > one.reason.trials.length ? ", ..." : ""), null]], reasons);
}

// ---------- the machine

const READINGS = {
  clock: ["Clock while it was timed", "Hz"], temperature: ["Temperature", "°C"], power: ["Power", "W"], stolen: ["Time that the hypervisor took", "share of one"],
  waiting: ["Time that the process waited for a core", "share of one"], pressure: ["CPU pressure", "share of one"], kept: ["Samples that the gates let through", "share of one"],
};
const VERDICT_SYMBOLS = { ok: "circle", noisy: "triangle-up", throttled: "square", drift: "diamond", invalid: "x", failed: "cross", emulated: "star", table: "circle-open" };

function drawMachine() {
  const options = [];
  page.runs.forEach((run, index) => {
    const suffix = page.runs.length > 1 ? `, ${run.name}` : "";
    if (run.canaries.length) options.push([`canary ${index}`, `Canary${suffix}`]);
    for (const name of Object.keys(run.machine.readings)) options.push([`${name} ${index}`, `${READINGS[name][0]}${suffix}`]);
  });
  const measured = page.runs.filter((run) => run.machine.verdict.codes.length);
  find("machine").hidden = !measured.length;
  const counts = measured.flatMap((run) => run.machine.verdict.names.map((name, code) => ({ run, name, count: run.machine.verdict.codes.filter((one) => one === code).length, total: run.machine.verdict.codes.length })));
  fillTable(find("verdicts"), [...(page.runs.length > 1 ? [["Run", (one) => one.run.name, "name"]] : []), ["Verdict of a process", (one) => one.name || "-", null], ["Processes", (one) => one.count.toLocaleString("en"), "number"], ["Share", (one) => `${((100 * one.count) / one.total).toFixed(1)} %`, "number"]], counts);
  const reasons = measured.flatMap((run) => run.machine.reasons.map(([text, count]) => ({ run, text, count })));
  find("machine-reasons").hidden = !reasons.length;
  fillTable(find("machine-reasons"), [...(page.runs.length > 1 ? [["Run", (one) => one.run.name, "name"]] : []), ["What was said of measurements that are not ok", (one) => one.text, "long"], ["Times", (one) => one.count.toLocaleString("en"), "number"]], reasons);
  const select = find("machine-of");
  select.parentElement.parentElement.hidden = find("machine-chart").parentElement.hidden = !options.length;
  if (!options.length) return;
  const chosen = options.some(([value]) => value === select.value) ? select.value : options[0][0];
  select.replaceChildren(...options.map(([value, label]) => make("option", { value, selected: value === chosen }, label)));
  const [what, index] = chosen.split(" ");
  (what === "canary" ? drawCanary : drawReading)(page.runs[Number(index)], what);
}

function drawCanary(run) {
  const traces = run.canaries.map((canary, index) => {
    const style = look(index), first = canary.rounds_s.find(known);
    const rounds = canary.rounds_s.map((value, round) => [round + 1, value]).filter(([, value]) => known(value));
    return {
      x: rounds.map(([round]) => round), y: rounds.map(([, value]) => 100 * (value / first - 1)), type: "scatter", mode: "lines+markers", name: plain(canary.device),
      line: { color: style.color, dash: style.dash, width: 1.5 }, marker: { symbol: style.symbol, size: 8, color: style.color },
      text: rounds.map(([round, value]) => plain(`${canary.device}, round ${round}: ${show(value, "s")}`)), hovertemplate: "%{text}<extra></extra>",
    };
  });
  const moves = traces.flatMap((trace) => trace.y.map(Math.abs)), reach = Math.max(3.6, 1.15 * Math.max(0, ...moves));
  plot(find("machine-chart"), traces, {
    xaxis: { ...axisTitle("Round"), dtick: run.canaries.some((one) => one.rounds_s.length > 15) ? undefined : 1 }, yaxis: { ...axisTitle("Canary, change (%)"), range: [-reach, reach] },
    shapes: [{ type: "rect", xref: "paper", x0: 0, x1: 1, y0: -3, y1: 3, fillcolor: color("region"), line: { width: 0 }, layer: "below" }],
    showlegend: traces.length > 1, legend: { orientation: "h", y: -0.3 },
  });
  const first = run.canaries[0].rounds_s.find(known);
  find("machine-text").textContent = `The canary is a small network that is measured in every round and has no reason to move; it took ${show(first, "s")} in the first. Within the tinted band of 3 % it says that the machine stayed what it was. The largest move is ${Math.max(0, ...moves).toFixed(1)} %.`;
}

function drawReading(run, what) {
  const [label, unit] = READINGS[what];
  const values = run.machine.readings[what];
  const scale = scaleFor(unit, values);
  const longest = Math.max(0, ...run.machine.seconds.filter(known));
  const [word, size] = longest > 5400 ? ["hours", 3600] : longest > 90 ? ["minutes", 60] : ["seconds", 1];
  const traces = run.machine.verdict.names.map((verdict, code) => {
    const rows = values.map((_, row) => row).filter((row) => run.machine.verdict.codes[row] === code && known(values[row]) && known(run.machine.seconds[row]));
    return {
      x: rows.map((row) => run.machine.seconds[row] / size), y: rows.map((row) => values[row] * scale.factor), type: "scatter", mode: "markers", name: plain(verdict || "-"),
      marker: { symbol: VERDICT_SYMBOLS[verdict] || "circle", size: 8, color: color(`series-${code % SYMBOLS.length}`), opacity: 0.85 },
      text: rows.map((row) => plain(`trial ${run.machine.trial[row]} on ${textOf(run.machine.device, row)}, ${verdict}: ${show(values[row], unit)}`)), hovertemplate: "%{text}<extra></extra>",
    };
  });
  plot(find("machine-chart"), traces, {
    xaxis: { ...axisTitle(narrow() ? `Time (${word})` : `Time since the first measurement (${word})`), rangemode: "tozero" }, yaxis: { ...axisTitle(titled(narrow() ? short(label, 24) : label, scale)), rangemode: "tozero" },
    showlegend: true, legend: { orientation: "h", y: -0.3 },
  });
  let [low, high] = [Infinity, -Infinity];
  for (const value of values.filter(known)) { low = Math.min(low, value); high = Math.max(high, value); }
  find("machine-text").textContent = `${label}, one mark a process, by its verdict: ${show(low, unit)} to ${show(high, unit)}.`;
}

// ---------- how to repeat it

let repeated = null;

function drawRepeat() {
  const content = JSON.stringify(page.runs.map((run) => [run.name, run.repeat, run.environment]));
  if (content === repeated) return; // a live page leaves open what somebody has opened
  repeated = content;
  find("repeats").replaceChildren(...page.runs.flatMap((run) => {
    const parts = page.runs.length > 1 ? [make("h3", {}, run.name)] : [];
    if (run.repeat) parts.push(make("p", { class: "note" }, "The command that made it:"), commandBlock(run.repeat));
    else parts.push(make("p", { class: "note" }, "The run does not say which command made it."));
    parts.push(make("details", {}, make("summary", {}, "The machine and its software"), make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Environment of ${run.name}` }, facts(run.environment))));
    return parts;
  }));
}
