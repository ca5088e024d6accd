// A board: an SVG picture, and over it a grid of buttons for pointer, keyboard and screen reader.

import { ground, names } from "./ground.js";
import { drawLetters, drawThought } from "./overlay.js";
import { inWords, piece, pieceName } from "./pieces.js";
import { CELL, element, layout, shape } from "./shapes.js";

const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
const LARGEST = 120; // pixels of a cell
const BECOMES = { q: "queen", r: "rook", b: "bishop", n: "knight", "+": "promote" };

export class Board {
  // box: where it is drawn. hands: the places for pieces in hand, the far side's and the near side's.
  constructor(box, hands, { onMove, onSay, choices = null }) {
    Object.assign(this, { box, hands, onMove, onSay, choices });
    this.picture = shape("svg", { "aria-hidden": "true", focusable: "false" });
    this.cells = element("div", { class: "cells", role: "grid" });
    this.box.append(this.picture, this.cells);
    this.cells.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.position && this.paint()).observe(box);
  }

  // live: whether the person may move. turned: seen from the second player's side.
  draw(position, look, { live, turned }) {
    const kind = `${position.game} ${turned}`;
    Object.assign(this, { position, look, live, picked: null, thought: null, exact: null, letters: null });
    this.plan = layout(position, look.style, turned);
    if (this.kind !== kind) this.build();
    this.kind = kind;
    this.offer([]);
    this.paint();
  }

  show(thought, exact) {
    Object.assign(this, { thought, exact });
    this.paint();
  }

  letter(letters) {
    this.letters = letters;
    this.paint();
  }

  build() {
    const { width, height, size, at, turned, pitch } = this.plan;
    this.box.style.maxWidth = `${size.width / CELL * LARGEST}px`;
    this.buttons = [];
    this.cells.setAttribute("aria-label", `${this.look.title}, board`);
    const rows = Array.from({ length: height }, (_, row) => element("div", { role: "row" }, ...Array.from({ length: width }, (_, column) => {
      const cell = turned ? width * height - 1 - (row * width + column) : row * width + column;
      const button = element("button", { type: "button", role: "gridcell", tabindex: "-1", "data-cell": cell });
      const { x, y } = at(cell);
      button.style.left = `${100 * (x - 48) / size.width}%`;
      button.style.top = `${100 * (y - pitch / 2 + 2) / size.height}%`;
      button.style.width = `${9600 / size.width}%`;
      button.style.height = `${100 * (pitch - 4) / size.height}%`;
      button.addEventListener("click", () => this.press(cell));
      this.buttons.push(button);
      return button;
    })));
    this.cells.replaceChildren(...rows);
    this.order = new Map(this.buttons.map((button, place) => [Number(button.dataset.cell), place]));
    this.buttons[Math.floor(height / 2) * width + Math.floor(width / 2)].tabIndex = 0;
  }

  paint() {
    const { plan, position, look, picture } = this, { size } = plan;
    picture.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);
    const pieces = shape("g");
    position.cells.forEach((symbol, cell) => {
      if (symbol === ".") return;
      const { x, y } = plan.at(cell), place = shape("g", { transform: `translate(${x} ${y})` });
      place.append(piece(look.style, symbol, plan.turned));
      pieces.append(place);
    });
    picture.replaceChildren(ground(look.style, plan), names(position, plan, this.pixels()), this.under(), pieces, this.over());
    if (this.thought) picture.append(drawThought(plan, position, this.thought, this.exact, this.pixels()));
    if (this.letters) picture.append(drawLetters(plan, position, this.letters));
    this.say();
    this.showHands();
  }

  pixels() {
    return this.box.clientWidth / this.plan.size.width * CELL;
  }

  under() {
    const group = shape("g");
    if (this.picked !== null && typeof this.picked === "number") {
      const { x, y } = this.plan.at(this.picked);
      group.append(shape("rect", { x: x - 48, y: y - 48, width: 96, height: 96, class: "picked" }));
    }
    return group;
  }

  over() {
    const group = shape("g"), round = !["chess", "shogi", "plain"].includes(this.look.style);
    for (const cell of this.position.last) {
      const { x, y } = this.plan.at(cell);
      group.append(round ? shape("circle", { cx: x, cy: y, r: 45, class: "last" }) : shape("rect", { x: x - 47, y: y - 47, width: 94, height: 94, class: "last" }));
    }
    for (const move of this.fromPicked()) {
      const { x, y } = this.plan.at(move.to);
      group.append(shape("circle", { cx: x, cy: y, r: 13, class: "target" }));
    }
    return group;
  }

  fromPicked() {
    if (this.picked === null) return [];
    return this.position.legal.filter((move) => (typeof this.picked === "number" ? move.from : move.drop) === this.picked);
  }

  placed(cell) {
    const { width } = this.plan, column = this.look.style === "discs";
    return this.position.legal.find((move) => move.from === undefined && !move.drop && move.to !== undefined && (column ? move.to % width === cell % width : move.to === cell));
  }

  // What a press on a cell would do; the moves it would make, or null if it picks up a piece.
  movesAt(cell) {
    const onward = this.fromPicked().filter((move) => move.to === cell);
    if (onward.length) return onward;
    const placed = this.placed(cell);
    return placed ? [placed] : [];
  }

  starts(cell) {
    return this.position.legal.some((move) => move.from === cell);
  }

  press(cell) {
    this.focus(cell);
    if (!this.live) return;
    const moves = this.movesAt(cell);
    if (moves.length === 1) this.onMove(moves[0].text);
    else if (moves.length) this.offer(moves);
    else this.pick(this.picked !== cell && this.starts(cell) ? cell : null, cell);
  }

  pick(what, cell = null) {
    const before = this.picked;
    this.picked = what;
    this.offer([]);
    this.paint();
    if (what !== null) this.onSay(`${this.nameOf(what)} is picked up; ${this.fromPicked().length} squares to go to`);
    else if (before !== null) this.onSay("put back");
    else if (cell !== null) this.onSay(`${this.cellName(cell)} is no move here`);
  }

  // The ways in which a piece may arrive, to choose from.
  offer(moves) {
    if (!this.choices) return;
    this.choices.hidden = !moves.length;
    this.choices.replaceChildren(...moves.map((move) => {
      const button = element("button", { type: "button" }, BECOMES[move.suffix] || "as it is");
      button.addEventListener("click", () => this.onMove(move.text));
      return button;
    }));
    if (moves.length) this.choices.firstChild.focus();
  }

  cellName(cell) {
    const { width, height } = this.plan, row = Math.floor(cell / width), column = cell % width;
    if (this.look.style === "discs") return `column ${column + 1}, row ${height - row}`;
    return this.position.columns[column] + this.position.rows[row] || `row ${row + 1}, column ${column + 1}`;
  }

  nameOf(what) {
    return typeof what === "number" ? this.cellName(what) : pieceName(what, this.position.game);
  }

  say() {
    for (const button of this.buttons) {
      const cell = Number(button.dataset.cell), symbol = this.position.cells[cell];
      const words = [this.cellName(cell), inWords(this.look.style, symbol, this.look.sides, this.position.game)];
      if (this.position.last.includes(cell)) words.push("last move");
      if (this.picked === cell) words.push("picked up");
      const live = this.live && (this.movesAt(cell).length > 0 || this.starts(cell));
      if (this.live && this.movesAt(cell).length) words.push("a move");
      const text = words.join(", ");
      if (button.getAttribute("aria-label") !== text) button.setAttribute("aria-label", text);
      button.classList.toggle("live", live);
    }
  }

  showHands() {
    const near = this.plan.turned ? 1 : 0;
    this.hands.forEach((place, number) => {
      const side = number === 1 ? near : 1 - near, held = Object.entries(this.position.hands?.[side] || {});
      const focused = place.contains(document.activeElement) ? document.activeElement.dataset.letter : null;
      place.replaceChildren(...held.map(([letter, count]) => {
        const words = `${this.look.sides[side]} ${pieceName(letter, this.position.game)} in hand, ${count}`;
        const button = element("button", { type: "button", "aria-label": words, "data-letter": letter }, `${letter} × ${count}`);
        button.disabled = !(this.live && side === this.position.to_play && this.position.legal.some((move) => move.drop === letter));
        if (this.picked === letter && side === this.position.to_play) button.setAttribute("aria-pressed", "true");
        button.addEventListener("click", () => this.pick(this.picked === letter ? null : letter));
        return button;
      }));
      if (focused) place.querySelector(`[data-letter="${focused}"]`)?.focus();
    });
  }

  focus(cell) {
    for (const button of this.buttons) button.tabIndex = Number(button.dataset.cell) === cell ? 0 : -1;
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const { width, height } = this.plan, digit = /^[1-9]$/.test(event.key);
    if (event.repeat && (digit || event.key === "Enter")) return event.preventDefault(); // a key held down is one move
    if (event.key === "Escape" && this.picked !== null) this.pick(null);
    if (this.look.style === "discs" && digit && this.live) {
      const move = this.position.legal.find((one) => one.text === event.key);
      if (move) this.onMove(move.text);
      else this.onSay(`${event.key} is no move here`);
      return;
    }
    const place = this.order.get(Number(event.target.dataset.cell));
    let row = Math.floor(place / width), column = place % width;
    if (STEPS[event.key]) [row, column] = [row + STEPS[event.key][0], column + STEPS[event.key][1]];
    else if (event.key === "Home") column = 0;
    else if (event.key === "End") column = width - 1;
    else return;
    event.preventDefault();
    const next = this.buttons[Math.min(Math.max(row, 0), height - 1) * width + Math.min(Math.max(column, 0), width - 1)];
    this.focus(Number(next.dataset.cell));
    next.focus();
  }
}
