// Elements, and where the cells of a board lie. A cell is 100 units wide.

const SVG = "http://www.w3.org/2000/svg";
export const CELL = 100;
const ROW = 86.6; // from one row of hexagons to the next
const NAMES = 36; // room for the names of rows and columns

export const byId = (id) => document.getElementById(id);

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

export function shape(name, attributes = {}, text = null) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== null) made.textContent = text;
  return made;
}

export function fillSelect(select, options, chosen) {
  select.replaceChildren(...options.map(([value, label]) => element("option", { value }, label)));
  if (options.some(([value]) => String(value) === String(chosen))) select.value = chosen;
}

// Number with its sign, two digits: +0.32.
export function signed(value) {
  if (value === null || value === undefined) return "–";
  const text = Math.abs(value).toFixed(2);
  return text === "0.00" ? "0.00" : (value < 0 ? "−" : "+") + text;
}

export const percent = (share) => `${Math.round(100 * share)} %`;

export function layout(position, style, turned) {
  const width = position.columns.length, height = position.rows.length;
  const hexes = style === "hexagons";
  const named = position.rows.some((name) => name), columns = position.columns.some((name) => name);
  const left = named ? NAMES : 6, top = hexes ? 24 : 6, bottom = columns ? NAMES + (style === "discs" ? 6 : 0) : 6;
  const slant = hexes ? (height - 1) * CELL / 2 : 0, pitch = hexes ? ROW : CELL;
  const size = { width: left + width * CELL + slant + (hexes ? 24 : 6), height: top + height * pitch + (hexes ? 30 : 0) + bottom };
  const at = (cell) => {
    let row = Math.floor(cell / width), column = cell % width;
    if (turned) [row, column] = [height - 1 - row, width - 1 - column];
    return { x: left + (column + .5) * CELL + (hexes ? row * CELL / 2 : 0), y: top + (hexes ? 57.7 : 50) + row * pitch };
  };
  return { width, height, left, top, bottom, pitch, size, at, turned, hexes };
}
