// Curves as SVG. A curve can be told from another by its dashes and by the label at its end.

import { element, shape } from "./shapes.js";

const WIDTH = 440, MARGIN = { left: 46, right: 10, top: 10, bottom: 24 };

function ticks(low, high, count) {
  const rough = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const found = [];
  for (let tick = Math.ceil(low / step - 1e-9) * step; tick <= high + 1e-9; tick += step) found.push(Number(tick.toFixed(10)));
  return found;
}

// curves: [{label, points: [[x, y], ...]}]; says: what it shows, in words.
export function chart(curves, { says, height = 180, low = null, high = null, lowX = null, highX = null, x = "", write = String, zero = false }) {
  const all = curves.flatMap((curve) => curve.points);
  const xs = all.map((point) => point[0]), ys = all.map((point) => point[1]);
  const range = { x0: lowX ?? Math.min(...xs), x1: highX ?? Math.max(...xs), y0: low ?? Math.min(...ys), y1: high ?? Math.max(...ys) };
  if (range.x1 <= range.x0) range.x1 = range.x0 + 1;
  if (range.y1 <= range.y0) range.y1 = range.y0 + 1;
  const inner = { width: WIDTH - MARGIN.left - MARGIN.right, height: height - MARGIN.top - MARGIN.bottom };
  const atX = (value) => MARGIN.left + (value - range.x0) / (range.x1 - range.x0) * inner.width;
  const atY = (value) => MARGIN.top + (range.y1 - value) / (range.y1 - range.y0) * inner.height;
  const picture = shape("svg", { viewBox: `0 0 ${WIDTH} ${height}`, class: "chart", role: "img", "aria-label": says });
  for (const tick of ticks(range.y0, range.y1, 4)) {
    picture.append(shape("path", { d: `M${MARGIN.left} ${atY(tick)}H${WIDTH - MARGIN.right}`, class: "axis" }));
    const label = shape("text", { x: MARGIN.left - 8, y: atY(tick) }, write(tick));
    label.style.textAnchor = "end";
    picture.append(label);
  }
  for (const tick of ticks(range.x0, range.x1, 5)) {
    if (Number.isInteger(tick)) picture.append(shape("text", { x: atX(tick), y: height - MARGIN.bottom / 2 + 2 }, `${tick}`));
  }
  if (zero) picture.append(shape("path", { d: `M${MARGIN.left} ${atY(0)}H${WIDTH - MARGIN.right}`, class: "axis", "stroke-width": 2 }));
  curves.forEach((curve, number) => {
    const points = curve.points.map(([one, other]) => `${atX(one).toFixed(1)} ${atY(other).toFixed(1)}`);
    if (points.length) picture.append(shape("path", { d: `M${points.join("L")}`, class: `curve${number ? " other" : ""}` }));
    const last = curve.points.at(-1);
    if (last) picture.append(shape("circle", { cx: atX(last[0]), cy: atY(last[1]), r: 3.5, class: "curve-dot" }));
  });
  const caption = curves.length > 1 ? `${curves[0].label} (solid), ${curves[1].label} (dashed)` : curves[0]?.label || "";
  return element("figure", {}, picture, element("figcaption", {}, [caption, x && `against ${x}`].filter((part) => part).join(" ")));
}
