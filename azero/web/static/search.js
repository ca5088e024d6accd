// What the search found, beside the board: the value, the expected line, every move, the curve of the game.

import { chart } from "./chart.js";
import { priorOf } from "./overlay.js";
import { byId, element, percent, signed } from "./shapes.js";

const SHORT = 8; // moves listed before the rest is asked for

export function showValue(sides, value) {
  const known = value !== null && value !== undefined;
  byId("value-first").textContent = `${sides[0]} ${signed(known ? value : null)}`;
  byId("value-second").textContent = `${sides[1]} ${signed(known ? -value : null)}`;
  byId("value-fill").style.width = `${known ? 50 + 50 * value : 50}%`;
  byId("value").setAttribute("aria-label", known ? `Value for ${sides[0]}: ${signed(value)}, from −1 to 1` : "No value yet");
}

function outcome({ value, plies }) {
  if (value === 0) return "draw";
  return `${value > 0 ? "win" : "loss"} in ${plies}`;
}

// Where belief and truth have different signs.
const wrong = (move, exact) => move.q !== null && move.q !== undefined && Math.abs(move.q) > .25 && Math.sign(move.q) !== Math.sign(exact.value);

export function showMoves(thought, exact, all) {
  const body = byId("moves").tBodies[0], moves = thought ? thought.moves : [];
  const solved = Boolean(exact && Object.keys(exact).length);
  byId("moves").hidden = !moves.length;
  byId("moves").classList.toggle("solved", solved);
  byId("all").hidden = moves.length <= SHORT;
  byId("all").textContent = all ? "Show fewer moves" : `Show all ${moves.length} moves`;
  body.replaceChildren(...moves.slice(0, all ? undefined : SHORT).map((move) => {
    const row = element("tr", move.text === thought.move ? { class: "best" } : {});
    const value = element("td", {}, signed(move.q));
    row.append(element("td", {}, move.text), element("td", {}, percent(priorOf(move))), element("td", {}, `${move.visits ?? "–"}`), value);
    const truth = solved && exact[move.text];
    if (truth && wrong(move, truth)) value.append(element("span", { class: "wrong", title: "belief and truth differ" }, " ≠"));
    row.append(element("td", { class: "exact" }, truth ? outcome(truth) : ""));
    return row;
  }));
}

export function showThought(thought, { name, mover, seconds, onward }) {
  byId("thought").textContent = !thought ? ""
    : thought.value === null ? `${name} has no opinion of the position.`
    : `${name}, ${thought.simulations ? `${thought.simulations} simulations` : "without a search"}, ${seconds.toFixed(1)} s: ${signed(thought.value)} for ${mover}, who is to move${onward ? "; searching on …" : "."}`;
  byId("expected").replaceChildren(...(thought?.line.length > 1 ? [element("span", {}, `Expected: ${thought.line.join(" ")}`)] : []));
}

export function showCurve(sides, values) {
  const points = values.map((value, ply) => [ply, value]).filter((point) => point[1] !== null && point[1] !== undefined);
  if (!points.length) {
    byId("curve").replaceChildren(element("p", { class: "note" }, "The value after each move will stand here."));
    return;
  }
  const says = `Value for ${sides[0]} by moves made; now ${signed(points.at(-1)[1])}`;
  byId("curve").replaceChildren(chart([{ label: `Value for ${sides[0]}`, points }], { says, x: "moves made", height: 140, low: -1, high: 1, lowX: 0, highX: Math.max(values.length - 1, 8), write: signed, zero: true }));
}

export function showRecord(moves) {
  const turns = [];
  for (let ply = 0; ply < moves.length; ply += 2) turns.push(`${ply / 2 + 1}. ${moves.slice(ply, ply + 2).join(" ")}`);
  byId("record").textContent = turns.join("  ");
}
