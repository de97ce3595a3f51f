// The panel of one network: its figures, its rows drawn as boxes, and what can be done with it.

const panel = { runIndex: -1, trial: -1 };

function openPanel(runIndex, row) {
  const run = page.runs[runIndex], rows = run.rows;
  Object.assign(panel, { runIndex, trial: rows.trial[row] });
  find("panel-title").textContent = nameOf(run, row);
  const member = run.members.find((one) => one.row === row);
  const lines = [["Run", run.name], ["Trial", String(rows.trial[row])], ["Architecture", rows.architecture[row]], ["Status", textOf(rows.status, row)]];
  for (const figure of page.figures) {
    const values = rows.figures[figure.key];
    if (!values || !known(values.value[row])) continue;
    let text = show(values.value[row], figure.unit);
    if (figure.unit === "count" || figure.unit === "bytes") text += ` (${values.value[row].toLocaleString("en")})`;
    if (figure.intervals) {
      if (interval(values, row) !== "-") text += `, 95 % interval ${interval(values, row)}`;
      const verdict = textOf(values.verdict, row);
      if (verdict) text += `, ${verdict}`;
    }
    lines.push([figure.label, text]);
  }
  if (member) {
    for (const [key, value] of Object.entries(member.searched)) if (run.confirmed && known(value)) lines.push([`${figureOf(key) ? figureOf(key).label : key} in the search`, show(value, "s")]);
    lines.push(["Confirmed", member.standing]);
  }
  if (textOf(rows.error, row)) lines.push(["Error", textOf(rows.error, row)]);
  const body = [facts(lines)];
  const network = page.networks[rows.architecture[row]], name = textOf(rows.name, row);
  const commands = run.commands.filter((command) => isFor(command, rows.trial[row], name));
  body.push(make("h3", {}, "The network, row by row"));
  if (network) body.push(...describeNetwork(network));
  else body.push(make("p", { class: "note" }, `Its rows are stored for members of the front and published networks alone${commands.length ? "; the commands below make it." : "."}`));
  const choices = Object.entries(rows.choices).filter(([, coded]) => known(coded.codes[row])).map(([name, coded]) => [name, textOf(coded, row)]);
  if (choices.length) body.push(make("h3", {}, run.kind === "search" ? "Choices" : "Setting"), make("div", { class: "scroll" }, facts(choices)));
  if (commands.length) body.push(make("h3", {}, "Use it"));
  for (const command of commands) {
    const text = fillCommand(command.text, { trial: String(rows.trial[row]), shell: quoted(name || ""), literal: JSON.stringify(name || "") });
    body.push(make("p", { class: "note" }, command.about), commandBlock(text, !text.includes("\n")));
  }
  find("panel-body").replaceChildren(...body);
  placePanel();
  const dialog = find("panel");
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  find("panel-title").focus();
}

/** Find the panel's network in the front as it is drawn now, so that next and previous go on from it. */
function placePanel() {
  if (panel.runIndex < 0) return;
  const place = front.order.findIndex(([runIndex, row]) => runIndex === panel.runIndex && page.runs[runIndex].rows.trial[row] === panel.trial);
  if (place >= 0) goTo(place);
  find("panel-previous").disabled = find("panel-next").disabled = front.order.length < 2;
}

/** Whether a name can stand in a command: a terminal acts on control characters, and a leading dash makes an option. */
const canBeTyped = (name) => !/^-|[\p{C}\p{Zl}\p{Zp}]/u.test(name);

/** Whether a command is for a row: not every run can be asked for every network, nor every network for everything. */
const isFor = (command, trial, name) => (!command.trials || command.trials.includes(trial)) && (!command.named || Boolean(name && canBeTyped(name)));

/** A word for a shell, as Python's shlex.quote writes it. */
const quoted = (word) => (/^[A-Za-z0-9@%+=:,./_-]+$/.test(word) ? word : `'${word.replace(/'/g, () => "'\"'\"'")}'`);

/** Fill a format string in one pass, so that what is put in is not looked at again; doubled braces are braces. */
const fillCommand = (text, values) => text.replace(/\{\{|\}\}|\{(\w+)\}/g, (found, key) => (key ? values[key] : found[0]));

function move(by) {
  openPanel(...front.order[stepped(by)]);
}

function describeNetwork(network) {
  const total = Math.max(1, network.layers.reduce((sum, layer) => sum + layer.macs, 0));
  const place = make("div", { class: "scroll free" });
  fillTable(place, [
    ["#", (one) => String(one.index), "number"],
    ["Block", (one) => make("span", {}, make("strong", {}, one.layer.kind), one.layer.options ? ` ${one.layer.options}` : "", one.layer.stride > 1 ? `, stride ${one.layer.stride}` : ""), "name"],
    ["Output", (one) => one.layer.shape.replaceAll("x", "×"), null],
    ["Params", (one) => show(one.layer.params, "count"), "number"],
    ["MACs", (one) => show(one.layer.macs, "count"), "number"],
    ["Share of MACs", (one) => {
      const bar = make("span", { class: "meter", "aria-hidden": "true" });
      bar.style.width = `${(100 * one.layer.macs) / total}%`;
      return make("span", {}, bar, `${((100 * one.layer.macs) / total).toFixed(1)} %`);
    }, "meter-cell"],
  ], network.layers.map((layer, index) => ({ layer, index })));
  const caption = `${plural(network.layers.length, "row")}, input ${network.input_shape.join(" × ")}; a box is as high as its output's side and as wide as its channels (both in logarithmic steps).`;
  return [make("div", { class: "scroll free", tabindex: "0", role: "region", "aria-label": "Drawing of the network" }, drawNetwork(network)), make("p", { class: "note" }, caption), place];
}

/** The rows as boxes: the higher the larger the map, the wider the more channels. */
function drawNetwork(network) {
  const sizes = (shape) => {
    const first = shape.split(" and ")[0].split("x").map(Number);
    if (first.length === 3) return { side: first[1], channels: first[0] };
    if (first.length === 2) return { side: Math.sqrt(first[0]), channels: first[1] };
    return { side: 1, channels: first[0] };
  };
  const kinds = [...new Set(network.layers.map((layer) => layer.kind))];
  const largest = Math.log2(1 + network.input_shape[1]);
  const middle = 78, gap = 9;
  let x = 4;
  const parts = [];
  const box = (side, channels, fill, title, number) => {
    const height = 14 + 116 * (Math.log2(1 + side) / largest), width = 7 + 3.2 * Math.log2(1 + channels);
    const shape = draw("rect", { x, y: middle - height / 2, width, height, rx: 2, class: "slab", fill });
    shape.append(draw("title", {}, title));
    parts.push(shape, draw("text", { x: x + width / 2, y: 160, "text-anchor": "middle" }, number));
    x += width;
    parts.push(draw("path", { d: `M${x} ${middle} h${gap}`, class: "edge" }));
    x += gap;
  };
  box(network.input_shape[1], network.input_shape[0], "var(--line)", `input ${network.input_shape.join(" × ")}`, "in");
  network.layers.forEach((layer, index) => {
    const { side, channels } = sizes(layer.shape);
    box(side, channels, `var(--series-${kinds.indexOf(layer.kind) % SYMBOLS.length})`, `${index}: ${layer.kind} ${layer.options}, gives ${layer.shape}`, String(index));
  });
  parts.pop();
  const text = `The network as ${network.layers.length} boxes in a row: ${kinds.map(String).join(", ")}. The table below has every one.`;
  return draw("svg", { class: "flow", width: x, height: 168, viewBox: `0 0 ${x} 168`, role: "img", "aria-label": text }, ...parts);
}
