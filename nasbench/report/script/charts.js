// How charts look, in light and dark, and the one way to draw one.

const SYMBOLS = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x"];
const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "5px 2px 1px 2px"];
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const look = (index) => ({
  color: color(`series-${index % SYMBOLS.length}`),
  symbol: SYMBOLS[(index + Math.floor(index / SYMBOLS.length)) % SYMBOLS.length],
  dash: DASHES[index % DASHES.length],
});

/** Plotly reads some markup in texts, so what comes from the document is escaped for it. */
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const short = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
const narrow = () => window.innerWidth < 640;

// The page's policy was made for the document that it came with, so a live one keeps to what that one said.
const MANY = 1000;
const hasGraphics = page.graphics && (() => {
  try {
    return Boolean(document.createElement("canvas").getContext("webgl2") || document.createElement("canvas").getContext("webgl"));
  } catch {
    return false;
  }
})();

const charts = new Map();

function layoutOf(extra) {
  const ink = color("ink"), soft = color("soft"), grid = color("grid");
  const axis = {
    gridcolor: grid, linecolor: color("line"), zeroline: false, automargin: true, tickfont: { color: soft }, ticks: "",
  };
  const { xaxis = {}, yaxis = {}, ...rest } = extra;
  return {
    paper_bgcolor: color("paper"), plot_bgcolor: color("paper"),
    font: { family: getComputedStyle(document.body).fontFamily, size: narrow() ? 12 : 13, color: ink },
    margin: { l: narrow() ? 8 : 16, r: 12, t: 12, b: 8 }, showlegend: false, hovermode: "closest",
    hoverlabel: { bgcolor: color("raised"), bordercolor: soft, font: { family: getComputedStyle(document.body).fontFamily, color: ink, size: 13 }, align: "left" },
    dragmode: narrow() ? false : "zoom",
    xaxis: { ...axis, ...xaxis }, yaxis: { ...axis, ...yaxis },
    ...rest,
  };
}

function plot(place, traces, layout) {
  charts.set(place.id, [place, traces, layout]);
  const config = {
    displaylogo: false, responsive: true, typesetMath: false, displayModeBar: narrow() ? false : "hover", doubleClick: "reset",
    modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"],
  };
  return Plotly.react(place, traces, layoutOf(layout), config);
}

const axisTitle = (text) => ({ title: { text: plain(text), standoff: 8 } });
