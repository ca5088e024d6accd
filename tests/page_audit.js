// What an accessibility checker looks for, on the page as it stands: a list of faults, each in words.

const faults = [];
const shown = (node) => node.checkVisibility({ visibilityProperty: true }) && !node.closest("[aria-hidden=true]");
const what = (node) => `${node.tagName.toLowerCase()}${node.id ? `#${node.id}` : ""}${node.className && node.className.baseVal === undefined ? `.${node.className}` : ""}`;

function name(node) {
  const labelled = (node.getAttribute("aria-labelledby") || "").split(" ").filter((id) => id);
  const parts = labelled.map((id) => document.getElementById(id)?.textContent || "");
  const own = node.getAttribute("aria-label") || [...(node.labels || [])].map((label) => label.textContent).join(" ");
  const inside = node.matches("input, select, textarea") ? "" : node.textContent;
  return (parts.join(" ") || own || inside || node.getAttribute("title") || "").trim();
}

// Names, roles and landmarks.
for (const node of document.querySelectorAll("button, a[href], input, select, textarea, summary, [role=grid], [role=img], nav, section, [role=group]")) {
  if (shown(node) && !name(node)) faults.push(`${what(node)} has no name`);
}
const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
for (const id of new Set(ids.filter((one, place) => ids.indexOf(one) !== place))) faults.push(`the id ${id} is there twice`);
for (const kind of ["header", "nav", "main", "footer", "h1"]) {
  if (document.querySelectorAll(kind).length !== 1) faults.push(`there should be one ${kind}`);
}
if (!document.documentElement.lang) faults.push("the page has no language");
if (!document.title) faults.push("the page has no title");
if (!document.querySelector("[aria-live]")) faults.push("there is no live region");
for (const attribute of ["aria-labelledby", "for", "aria-controls"]) {
  for (const node of document.querySelectorAll(`[${attribute}]`)) {
    for (const id of node.getAttribute(attribute).split(" ")) if (!document.getElementById(id)) faults.push(`${what(node)}: ${attribute} names ${id}, which is not there`);
  }
}
for (const grid of document.querySelectorAll("[role=grid]")) {
  if (!shown(grid)) continue;
  if ([...grid.children].some((row) => row.getAttribute("role") !== "row")) faults.push("a grid has children that are no rows");
  if (grid.querySelectorAll("[role=gridcell][tabindex='0']").length !== 1) faults.push("a grid must be one stop of the Tab key");
}
for (const table of document.querySelectorAll("table")) {
  if (shown(table) && !table.querySelector("th[scope]")) faults.push("a table has no headings");
}

// Contrast of every piece of text, in the picture of the board too where a disc lies behind it.
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
function rgba(colour) {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
  return [red, green, blue, alpha / 255];
}
const light = ([red, green, blue]) => [red, green, blue].map((part) => part / 255)
  .map((part) => (part <= .04045 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4))
  .reduce((sum, part, place) => sum + part * [.2126, .7152, .0722][place], 0);
const contrast = (one, other) => {
  const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
  return (high + .05) / (low + .05);
};
function behind(node) {
  for (let at = node; at; at = at.parentElement) {
    const colour = rgba(getComputedStyle(at).backgroundColor);
    if (colour[3] > .98) return colour;
  }
  return [255, 255, 255, 1];
}
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
let texts = 0;
for (let text = walker.nextNode(); text; text = walker.nextNode()) {
  const node = text.parentElement;
  if (!text.data.trim() || !node.checkVisibility() || node.closest("svg, .hidden, h1, option, :disabled, script")) continue;
  texts += 1;
  const found = contrast(rgba(getComputedStyle(node).color), behind(node));
  if (found < 4.5) faults.push(`${what(node)} "${text.data.trim().slice(0, 20)}" has contrast ${found.toFixed(2)}`);
}
for (const node of document.querySelectorAll(".thought-text, .badge-text, .letter-text, .coordinate")) {
  const disc = node.parentElement.querySelector(".thought-disc, .badge, .letter");
  const found = contrast(rgba(getComputedStyle(node).fill), disc ? rgba(getComputedStyle(disc).fill) : behind(node.closest("div")));
  if (found < 4.5) faults.push(`${node.getAttribute("class")} "${node.textContent}" on the board has contrast ${found.toFixed(2)}`);
}
if (texts < 5) faults.push(`only ${texts} texts were looked at`);
return faults;
