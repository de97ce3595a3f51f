// What a figure looks like to a person, and the document that it comes from.

// ---------- the document

let page = JSON.parse(document.getElementById("document").textContent);
const find = (id) => document.getElementById(id);
const figureOf = (key) => page.figures.find((figure) => figure.key === key);
const textOf = (coded, row) => (coded && coded.codes[row] != null ? coded.names[coded.codes[row]] : null);
const nameOf = (run, row) => textOf(run.rows.name, row) || `trial ${run.rows.trial[row]}`;
const known = (value) => value !== null && value !== undefined;

// ---------- numbers for eyes

const STEPS = {
  s: [["s", 1], ["ms", 1e-3], ["µs", 1e-6], ["ns", 1e-9]],
  J: [["J", 1], ["mJ", 1e-3], ["µJ", 1e-6]],
  bytes: [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10], ["bytes", 1]],
  count: [["G", 1e9], ["M", 1e6], ["k", 1e3], ["", 1]],
  Hz: [["GHz", 1e9], ["MHz", 1e6], ["Hz", 1]],
};
const LONG = { G: "billions", M: "millions", k: "thousands", "": "" };

function digits(value) {
  const size = Math.abs(value);
  if (size >= 999.5) return value.toLocaleString("en", { maximumFractionDigits: 0 });
  return String(Number(value.toPrecision(3)));
}

function show(value, unit) {
  if (!known(value)) return "-";
  if (unit === "share of one") return `${(100 * value).toFixed(2)} %`;
  const steps = STEPS[unit];
  if (!steps) return unit ? `${digits(value)} ${unit}` : digits(value);
  const step = steps.find(([, size]) => Math.abs(value) >= size) || steps[steps.length - 1];
  return `${digits(value / step[1])} ${step[0]}`.trim();
}

/** The unit in which most of the values are at least 1, and what a stored value is multiplied with. */
function scaleFor(unit, values) {
  if (unit === "share of one") return { name: "%", factor: 100 };
  const steps = STEPS[unit];
  if (!steps) return { name: unit, factor: 1 };
  const sizes = values.filter(known).map(Math.abs).sort((a, b) => a - b);
  const middle = sizes.length ? sizes[sizes.length >> 1] : steps[0][1];
  const step = steps.find(([, size]) => middle >= size) || steps[steps.length - 1];
  return { name: unit === "count" ? LONG[step[0]] : step[0], factor: 1 / step[1] };
}

const titled = (label, scale) => (scale.name ? `${label} (${scale.name})` : label);
const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

function interval(values, row) {
  const [low, high] = [values.low[row], values.high[row]];
  return known(low) && known(high) ? `${show(low, "s")} to ${show(high, "s")}` : "-";
}
