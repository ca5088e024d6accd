// The empty boards.

import { CELL, shape } from "./shapes.js";

const STARS = { 9: [2, 4, 6], 19: [3, 9, 15] };

function path(lines, classes) {
  return shape("path", { d: lines.map(([x1, y1, x2, y2]) => `M${x1} ${y1}L${x2} ${y2}`).join(""), class: classes });
}

function lattice(plan, from, until, classes, across = plan.width, down = plan.height) {
  const [left, top] = [plan.left + from, plan.top + from];
  const right = plan.left + plan.width * CELL - from, low = plan.top + plan.height * CELL - from;
  const lines = [];
  for (let column = until[0]; column <= across - until[1]; column++) lines.push([left + column * CELL, top, left + column * CELL, low]);
  for (let row = until[0]; row <= down - until[1]; row++) lines.push([left, top + row * CELL, right, top + row * CELL]);
  return path(lines, classes);
}

const slab = (plan, classes, round = 10) =>
  shape("rect", { x: plan.left - 2, y: plan.top - 2, width: plan.width * CELL + 4, height: plan.height * CELL + 4, rx: round, class: classes });

function squares(plan, chequered) {
  const group = shape("g");
  for (let cell = 0; cell < plan.width * plan.height; cell++) {
    const { x, y } = plan.at(cell);
    const dark = chequered && (Math.floor(cell / plan.width) + (cell % plan.width) + plan.height) % 2 === 1;
    group.append(shape("rect", { x: x - 50, y: y - 50, width: 100, height: 100, class: `square${dark ? " dark" : ""}` }));
  }
  return group;
}

function holes(plan) {
  const group = shape("g");
  group.append(slab(plan, "frame", 26));
  for (let cell = 0; cell < plan.width * plan.height; cell++) {
    const { x, y } = plan.at(cell);
    group.append(shape("circle", { cx: x, cy: y, r: 42, class: "hole" }));
  }
  return group;
}

function points(plan) {
  const group = shape("g");
  group.append(slab(plan, "wood"), lattice(plan, 50, [0, 1], "grid-line"));
  for (const row of STARS[plan.height] || []) {
    for (const column of STARS[plan.width] || []) {
      const { x, y } = plan.at(row * plan.width + column);
      group.append(shape("circle", { cx: x, cy: y, r: 7, fill: "#6d5428" }));
    }
  }
  return group;
}

const corners = (x, y, numbers) =>
  numbers.map((number) => {
    const angle = Math.PI / 3 * number - Math.PI / 2;
    return `${(x + 57.7 * Math.cos(angle)).toFixed(1)} ${(y + 57.7 * Math.sin(angle)).toFixed(1)}`;
  });

function hexagons(plan) {
  const group = shape("g"), { width, height } = plan;
  const rims = [shape("g"), shape("g")];
  for (let cell = 0; cell < width * height; cell++) {
    const { x, y } = plan.at(cell), row = Math.floor(cell / width), column = cell % width;
    group.append(shape("polygon", { points: corners(x, y, [0, 1, 2, 3, 4, 5]).join(" "), class: "hexagon" }));
    const rim = (side, numbers) =>
      rims[side].append(shape("path", { d: `M${corners(x, y, numbers).join("L")}`, class: side ? "rim-second" : "rim-first" }));
    if (column === 0) rim(1, [3, 4, 5]);
    if (column === width - 1) rim(1, [0, 1, 2]);
    if (row === 0) rim(0, [5, 0, 1]);
    if (row === height - 1) rim(0, [2, 3, 4]);
  }
  const whole = shape("g");
  whole.append(...rims, group);
  return whole;
}

export function ground(style, plan) {
  const group = shape("g");
  if (style === "discs") return holes(plan);
  if (style === "stones") return points(plan);
  if (style === "hexagons") return hexagons(plan);
  if (style === "marks") group.append(lattice(plan, 0, [1, 1], "mark-line"));
  else if (style === "othello") group.append(slab(plan, "felt"), lattice(plan, 0, [0, 0], "felt-line"));
  else if (style === "shogi") group.append(slab(plan, "wood", 4), lattice(plan, 0, [0, 0], "grid-line"));
  else group.append(squares(plan, style === "chess"));
  return group;
}

export function names(position, plan, pixels) {
  const group = shape("g", { "font-size": Math.min(30, 1400 / pixels) });
  const { width, height } = plan;
  position.columns.forEach((name, column) => {
    const lowest = plan.at((plan.turned ? 0 : height - 1) * width + column);
    group.append(shape("text", { x: lowest.x, y: plan.size.height - plan.bottom / 2 + (plan.hexes ? 2 : 0), class: "coordinate" }, name));
  });
  position.rows.forEach((name, row) => {
    const leftmost = plan.at(row * width + (plan.turned ? width - 1 : 0));
    group.append(shape("text", { x: leftmost.x - (plan.hexes ? 72 : 68), y: leftmost.y, class: "coordinate" }, name));
  });
  return group;
}
