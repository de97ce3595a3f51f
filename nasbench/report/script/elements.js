// Elements of the page. Whatever comes from the document gets in as text.

/** Make an element; whatever comes from the document gets in as text. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && known(value)) element.setAttribute(name, value);
  }
  element.append(...children.filter(known));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";
function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Put a table into a place; a column is [title, read, class], a row may give a class of its own. */
function fillTable(place, columns, rows, rowClass = () => null) {
  const head = make("tr", {}, ...columns.map(([title, , kind]) => make("th", { scope: "col", class: kind }, title)));
  const body = rows.map((row) =>
    make("tr", { class: rowClass(row) },
      ...columns.map(([, read, kind]) => make("td", { class: kind }, read(row)))));
  place.replaceChildren(make("table", {}, make("thead", {}, head), make("tbody", {}, ...body)));
}

function facts(pairs) {
  return make("table", {}, make("tbody", {},
    ...pairs.map(([what, text]) => make("tr", {}, make("th", { scope: "row" }, what), make("td", { class: "name" }, text)))));
}

function commandBlock(text, wrap = true) {
  const button = make("button", { type: "button", class: "quiet" }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select and copy it by hand";
    }
  });
  return make("div", {}, make("pre", { class: wrap ? "wrap" : null, tabindex: "0" }, text), button);
}
