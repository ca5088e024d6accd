// Which move is better? A position, two of its moves, and a person's answer.

import { get, post } from "./api.js";
import { Board } from "./board.js";
import { byId, fillSelect } from "./shapes.js";

const NAME = "azero.source";

export class Better {
  constructor(games, onTrouble) {
    Object.assign(this, { games, onTrouble, given: 0, asked: null, turn: 0 });
    this.board = new Board(byId("better-board"), [byId("better-far"), byId("better-near")], {
      onMove: (text) => this.moved(text), onSay: () => {},
    });
    fillSelect(byId("better-game"), games.map((game) => [game.name, game.title]));
    byId("source").value = localStorage.getItem(NAME) || "";
    byId("source").addEventListener("change", () => localStorage.setItem(NAME, byId("source").value));
    byId("source").addEventListener("input", () => this.onTrouble(""));
    byId("better-game").addEventListener("change", () => this.ask());
    byId("prefer-a").addEventListener("click", () => this.prefer("a"));
    byId("prefer-b").addEventListener("click", () => this.prefer("b"));
    byId("skip").addEventListener("click", () => this.ask());
    document.addEventListener("keydown", (event) => this.key(event));
  }

  open() {
    if (!this.asked) this.ask();
  }

  key(event) {
    const typing = ["INPUT", "SELECT"].includes(event.target.tagName) || event.ctrlKey || event.metaKey || event.altKey;
    if (byId("better").hidden || typing) return;
    const name = { a: "prefer-a", b: "prefer-b", n: "skip" }[event.key.toLowerCase()];
    if (name) byId(name).click();
  }

  wait(waiting) {
    for (const name of ["prefer-a", "prefer-b"]) byId(name).disabled = waiting || !this.asked;
    byId("skip").disabled = waiting;
  }

  // A press on the board chooses too, where it can only be one of the two.
  moved(text) {
    if (!this.asked) return;
    if (text === this.asked.move_a) this.prefer("a");
    else if (text === this.asked.move_b) this.prefer("b");
  }

  async ask() {
    const turn = ++this.turn, name = byId("better-game").value;
    this.asked = null; // what was asked before is answered, or passed over
    this.wait(true);
    byId("question").textContent = "Finding a position …";
    try {
      const asked = await get("pair", { game: name });
      if (turn !== this.turn) return;
      this.asked = asked;
      this.onTrouble("");
      const look = this.games.find((game) => game.name === name), mover = look.sides[asked.position.to_play];
      const position = { ...asked.position, legal: asked.position.legal.filter((move) => [asked.move_a, asked.move_b].includes(move.text)) };
      this.board.draw(position, look, { live: true, turned: look.turns && position.to_play === 1 });
      this.board.letter([["A", asked.move_a], ["B", asked.move_b]]);
      byId("prefer-a").textContent = `A: ${asked.move_a}`;
      byId("prefer-b").textContent = `B: ${asked.move_b}`;
      byId("question").textContent = `${mover} is to move. Which is better, ${asked.move_a} (A) or ${asked.move_b} (B)?`;
      this.wait(false);
    } catch (error) {
      if (turn === this.turn) this.fail(error);
    }
  }

  async prefer(letter) {
    if (!this.asked || byId("prefer-a").disabled) return;
    const source = byId("source").value.trim();
    if (!source) {
      this.onTrouble("Say who you are first: the file names the source of each answer.");
      byId("source").focus();
      return;
    }
    this.wait(true);
    const { position, move_a, move_b } = this.asked;
    try {
      const saved = await post("preference", { game: position.game, moves: position.moves, move_a, move_b, preferred: letter, source });
      this.given += 1;
      byId("given").textContent = `${this.given} ${this.given === 1 ? "answer" : "answers"} given; the last went to ${saved.file}.`;
      await this.ask();
    } catch (error) {
      this.fail(error);
    }
  }

  fail(error) {
    this.wait(false);
    if (!this.asked) byId("question").textContent = "";
    this.onTrouble(error.message);
  }
}
