// The search laid over the board: a disc for each move that is a cell, an arrow for each that goes from cell to cell.

import { percent, shape, signed } from "./shapes.js";

const ARROWS = 5, DISCS = 40;
const WORDS = { 1: "W", 0: "D", "-1": "L" };

const total = (thought) => thought.moves.reduce((sum, move) => sum + (move.visits || 0), 0);

// A move's share of the visits; of the policy where nothing was searched.
export function shareOf(thought, move) {
  const all = total(thought);
  return all ? move.visits / all : move.policy;
}

export const priorOf = (move) => (move.prior === undefined ? move.policy : move.prior);

// A value with its sign and no more than it needs: +.32.
function short(value) {
  const text = signed(value);
  return text.endsWith("1.00") ? text.replace("1.00", "1") : text === "0.00" ? "0" : text.replace("0.", ".");
}

function badge(x, y, value) {
  const group = shape("g", { transform: `translate(${x} ${y})` });
  group.append(shape("rect", { x: -13, y: -13, width: 26, height: 26, rx: 6, class: "badge" }));
  group.append(shape("text", { class: "badge-text", "font-size": 20, y: 1 }, WORDS[Math.sign(value)]));
  return group;
}

function arc(radius, share) {
  const turn = Math.min(share, .9999) * 2 * Math.PI;
  const x = radius * Math.sin(turn), y = -radius * Math.cos(turn);
  return `M0 ${-radius}A${radius} ${radius} 0 ${share > .5 ? 1 : 0} 1 ${x.toFixed(2)} ${y.toFixed(2)}`;
}

// How many lines of text a cell of so many pixels has room for, and their size in units of a cell.
function lines(move, share, pixels) {
  const value = move.q === undefined || move.q === null ? null : short(move.q);
  const texts = [value, percent(share), `p ${percent(priorOf(move))}`].filter((text) => text);
  if (pixels >= 60) return { texts, sizes: value ? [24, 18, 16] : [22, 17] };
  if (pixels >= 34) return { texts: texts.slice(0, 2), sizes: [28, 23] };
  return { texts: [value || texts[0].replace(" ", "")], sizes: [34] };
}

function disc(at, move, share, best, pixels, lower) {
  const group = shape("g", { transform: `translate(${at.x} ${at.y})` });
  group.append(shape("circle", { cx: 0, cy: 0, r: 42, class: "thought-disc" }));
  if (share > .002) group.append(shape("path", { d: arc(38.5, share), class: `thought-ring${best ? " best" : ""}` }));
  const angle = priorOf(move) * 2 * Math.PI;
  const tick = (radius) => `${(radius * Math.sin(angle)).toFixed(1)} ${(-radius * Math.cos(angle)).toFixed(1)}`;
  group.append(shape("path", { d: `M${tick(33)}L${tick(47)}`, class: "thought-prior" }));
  const { texts, sizes } = lines(move, share, pixels);
  const height = sizes.slice(0, texts.length).reduce((sum, size) => sum + size, 0);
  let y = lower - height / 2;
  texts.forEach((text, number) => {
    y += sizes[number] / 2;
    group.append(shape("text", { y: y.toFixed(1), "font-size": sizes[number], class: `thought-text ${number ? "small" : "big"}` }, text));
    y += sizes[number] / 2;
  });
  return group;
}

function arrow(from, to, share, best) {
  const length = Math.hypot(to.x - from.x, to.y - from.y) || 1, turn = Math.atan2(to.y - from.y, to.x - from.x);
  const half = 4 + 8 * share, wing = half + 13, end = length - 16, neck = Math.max(end - 30, 0);
  const outline = `M0 ${-half}H${neck}V${-wing}L${end} 0L${neck} ${wing}V${half}H0Z`;
  const place = `translate(${from.x} ${from.y}) rotate(${turn * 180 / Math.PI})`;
  return shape("path", { d: outline, transform: place, class: `arrow${best ? " best" : ""}` });
}

function plate(x, y, text, size, best) {
  const group = shape("g", { transform: `translate(${x} ${y})` }), width = text.length * size * .6 + 16;
  group.append(shape("rect", { x: -width / 2, y: -size * .75, width, height: size * 1.5, rx: 8, class: "thought-disc" }));
  group.append(shape("text", { "font-size": size, class: `thought-text ${best ? "big" : ""}` }, text));
  return group;
}

function words(move, share, pixels) {
  const value = move.q === undefined || move.q === null ? [] : [short(move.q)];
  const all = [...value, percent(share), `p ${percent(priorOf(move))}`];
  return pixels >= 60 ? all.join(" · ") : all[0];
}

// Plates that would lie on each other are moved apart, downwards.
function apart(plates, size) {
  plates.sort((one, other) => one.y - other.y);
  for (let tries = 0; tries < 8; tries++) {
    for (let i = 0; i < plates.length; i++) {
      for (let j = i + 1; j < plates.length; j++) {
        const near = Math.abs(plates[i].x - plates[j].x) < (plates[i].text.length + plates[j].text.length) * size * .28 + 16;
        if (near && plates[j].y - plates[i].y < size * 1.6) plates[j].y = plates[i].y + size * 1.6;
      }
    }
  }
  return plates;
}

function drawArrows(group, moves, plan, thought, exact, pixels) {
  const shown = moves.filter((move) => shareOf(thought, move) >= .02).slice(0, ARROWS);
  const plates = [], size = Math.min(Math.max(1450 / pixels, 16), 38);
  for (const move of shown.reverse()) {
    const share = shareOf(thought, move), best = move.text === thought.move, to = plan.at(move.to);
    const from = move.from === undefined ? { x: to.x, y: to.y + 1 } : plan.at(move.from);
    if (move.from !== undefined) group.append(arrow(from, to, share, best));
    const text = (move.drop ? `${move.drop}* ` : "") + words(move, share, pixels);
    plates.push({ x: from.x + (to.x - from.x) * .55, y: from.y + (to.y - from.y) * .55, text, best });
  }
  for (const { x, y, text, best } of apart(plates, size)) {
    const half = text.length * size * .3 + 10;
    group.append(plate(Math.min(Math.max(x, half), plan.size.width - half), Math.min(y, plan.size.height - size), text, size, best));
  }
}

export function drawThought(plan, position, thought, exact, pixels) {
  const group = shape("g", { class: "thoughts" });
  const where = new Map(position.legal.map((move) => [move.text, move]));
  const moves = thought.moves.map((move) => ({ ...where.get(move.text), ...move })).filter((move) => move.to !== undefined);
  if (moves.some((move) => move.from !== undefined || move.drop)) {
    drawArrows(group, moves, plan, thought, exact, pixels);
    return group;
  }
  const few = position.cells.length <= 50;
  const shown = moves.filter((move) => few || shareOf(thought, move) >= .005 || move.text === thought.move).slice(0, DISCS);
  for (const move of shown) group.append(disc(plan.at(move.to), move, shareOf(thought, move), move.text === thought.move, pixels, exact ? 5 : 0));
  for (const move of moves.filter((one) => exact && exact[one.text])) {
    const { x, y } = plan.at(move.to);
    group.append(badge(x + 38, y - 39, exact[move.text].value));
  }
  return group;
}

export function drawLetters(plan, position, lettered) {
  const group = shape("g"), taken = [];
  for (const [letter, text] of lettered) {
    const move = position.legal.find((one) => one.text === text);
    if (!move || move.to === undefined) continue;
    const to = plan.at(move.to);
    if (move.from !== undefined) group.append(arrow(plan.at(move.from), to, .4, letter === "A"));
    const shift = taken.includes(move.to) ? 44 : 0;
    taken.push(move.to);
    const badge = shape("g", { transform: `translate(${to.x + shift} ${to.y})` });
    badge.append(shape("circle", { cx: 0, cy: 0, r: 31, class: "letter" }), shape("text", { class: "letter-text", y: 2 }, letter));
    group.append(badge);
  }
  return group;
}
