// A game at the table: a person against a player, or two players who are watched.

import { get, post } from "./api.js";
import { Board } from "./board.js";
import { showCurve, showMoves, showRecord, showThought, showValue } from "./search.js";
import { byId, element, fillSelect } from "./shapes.js";

const PAUSE = { play: 350, watch: 900 }; // milliseconds before a player's move is made
const SLOW = 4000; // milliseconds after which it is said why a thought takes so long
const LONG = .5; // seconds that a search took last time, from which shorter ones go before it, to be seen meanwhile
const LEGEND = "On the board, from the top: value for the player to move (−1 to 1), share of the visits (the ring too), prior p (the notch).";
const TRUE_LEGEND = " W, D, L: the true outcome of the move.";

const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

export class Table {
  constructor(games, onTrouble) {
    Object.assign(this, { games, onTrouble, turn: 0, mode: null, moves: [], history: [], values: [], paces: {}, running: false, next: null, all: false });
    this.showing = true;
    this.board = new Board(byId("board"), [byId("hand-far"), byId("hand-near")], {
      onMove: (text) => this.make(text), onSay: (text) => this.say(text), choices: byId("choices"),
    });
    fillSelect(byId("game"), games.map((game) => [game.name, game.title]));
    this.listen();
  }

  listen() {
    const on = (id, kind, act) => byId(id).addEventListener(kind, act);
    on("game", "change", () => this.choose(byId("game").value));
    on("side", "change", () => this.go());
    for (const number of [0, 1]) {
      on(`player-${number}`, "change", () => { this.fillLevels(number); this.go(); });
      on(`level-${number}`, "change", () => this.go());
    }
    on("new", "click", () => this.restart());
    on("back", "click", () => this.takeBack());
    on("run", "click", () => { this.running = !this.running; this.go(); });
    on("step", "click", () => this.step());
    on("show", "click", () => { this.showing = !this.showing; this.go(); });
    on("deeper", "click", () => this.deeper());
    on("all", "click", () => { this.all = !this.all; showMoves(this.thought ?? this.glimpsed, this.exact, this.all); });
    on("type", "submit", (event) => { event.preventDefault(); this.typed(); });
  }

  get look() {
    return this.games.find((game) => game.name === this.game);
  }

  get position() {
    return this.history.at(-1);
  }

  // Whether the server has answered the last move.
  get settled() {
    return this.moves.length === this.history.length - 1;
  }

  // Whose answer is shown, and who moves if no person does: one of the selects.
  seat() {
    return this.mode === "watch" ? this.position?.to_play ?? 0 : 0;
  }

  person() {
    const side = byId("side").value;
    return this.mode === "play" && (side === "both" || Number(side) === this.position.to_play);
  }

  async open(mode) {
    const next = this.next;
    this.next = null;
    if (mode !== this.mode) {
      this.mode = mode;
      this.running = false;
      for (const part of document.querySelectorAll("#table [data-mode]")) part.hidden = part.dataset.mode !== mode;
      byId("label-0").textContent = mode === "watch" ? "First player" : "Opponent";
      byId("label-1").textContent = "Second player";
      byId("run").hidden = byId("step").hidden = mode !== "watch";
      byId("type").hidden = mode !== "play";
    }
    if (next || !this.game) await this.choose(next?.game || this.game || this.games[0].name, next?.player);
    else this.go();
  }

  leave() {
    this.turn += 1;
    this.running = false;
  }

  async choose(game, player = null) {
    const turn = ++this.turn;
    try {
      const players = await get("players", { game });
      if (turn !== this.turn) return;
      Object.assign(this, { game, players });
      byId("game").value = game;
      const { sides } = this.look, before = byId("side").value || "0";
      fillSelect(byId("side"), [[0, `${sides[0]}, who moves first`], [1, `${sides[1]}, who moves second`], ["both", "both sides"]], before);
      for (const number of [0, 1]) {
        fillSelect(byId(`player-${number}`), players.map(({ id, label }) => [id, label]), player || players[0].id);
        byId(`level-${number}`).value = "";
        this.fillLevels(number);
      }
      this.restart();
    } catch (error) {
      this.onTrouble(error.message);
    }
  }

  fillLevels(number) {
    const { levels, usual } = this.players.find(({ id }) => id === byId(`player-${number}`).value);
    const select = byId(`level-${number}`), before = select.value;
    const words = levels.length === 1 ? [[0, "no search"]] : levels.map((level) => [level, level ? `${level}` : "0: the raw network"]);
    fillSelect(select, words, usual);
    if (levels.map(String).includes(before)) select.value = before;
    select.disabled = levels.length === 1;
  }

  restart() {
    Object.assign(this, { moves: [], history: [], values: [], running: false });
    this.go();
  }

  make(text) {
    if (!this.settled) return;
    this.moves = [...this.moves, text];
    this.go();
  }

  async typed() {
    const text = byId("text").value.trim();
    if (!text || !this.position) return;
    if (!this.person() || this.position.over) return this.say(this.position.over ? "The game is over." : "It is not your turn.");
    const { moves } = this;
    try {
      const found = await post("position", { game: this.game, moves: [...moves, text] });
      if (moves !== this.moves || !this.settled) return; // another move was made meanwhile
      byId("text").value = "";
      this.make(found.moves.at(-1));
    } catch (error) {
      this.onTrouble(error.message);
    }
  }

  takeBack() {
    if (!this.moves.length || !this.settled) return;
    const side = byId("side").value;
    let count = this.history.length - 2;
    while (this.mode === "play" && side !== "both" && count > 0 && this.history[count].to_play !== Number(side)) count -= 1;
    if (this.mode === "play" && side !== "both" && this.history[count].to_play !== Number(side)) return this.say("There is no move of yours to take back.");
    this.running = false;
    this.moves = this.moves.slice(0, count);
    this.history = this.history.slice(0, count + 1);
    this.values = this.values.slice(0, count);
    this.show();
    this.go();
  }

  // The position of the moves so far: shown, thought about, and answered where it is a player's turn.
  async go() {
    const turn = ++this.turn, stale = () => turn !== this.turn;
    try {
      const position = await post("position", { game: this.game, moves: this.moves });
      if (stale()) return;
      this.history = [...this.history.slice(0, this.moves.length), position];
      this.moves = position.moves;
      this.onTrouble("");
      this.show();
      if (position.over || (this.person() && !this.showing)) return;
      const thought = await this.think(Number(byId(`level-${this.seat()}`).value), stale);
      if (stale() || this.person() || (this.mode === "watch" && !this.running)) return;
      await wait(PAUSE[this.mode]);
      if (stale()) return;
      if (thought.move === null) this.say(`${this.mover()} gives the game up.`);
      else this.make(thought.move);
    } catch (error) {
      if (stale()) return;
      this.onTrouble(error.message);
      this.running = false;
      this.say("");
      if (this.position && !this.settled) { // the last move was not taken
        this.moves = this.moves.slice(0, this.history.length - 1);
        this.show();
      }
      this.buttons();
    }
  }

  async step() {
    if (this.settled && this.thought?.move && !this.position.over) this.make(this.thought.move);
  }

  async think(simulations, stale) {
    const seat = this.seat(), begun = performance.now();
    const player = byId(`player-${seat}`).value, asked = { game: this.game, moves: this.moves };
    if (!this.person()) this.say(`${this.news()}${this.mover()} is thinking …`);
    const slow = setTimeout(() => stale() || this.say(`${this.mover()} is thinking; the first search of its kind is compiled, which may take a minute …`), SLOW);
    const exact = this.position.solved && this.showing ? post("exact", asked) : Promise.resolve({ moves: null });
    exact.catch(() => {}); // heard of below
    const kind = `${this.game} ${player} ${simulations}`;
    if (this.showing && this.paces[kind] > LONG) await this.glimpse({ ...asked, player }, simulations, begun, stale);
    const asking = performance.now();
    const thought = await post("think", { ...asked, player, simulations }).finally(() => clearTimeout(slow));
    this.paces[kind] = (performance.now() - asking) / 1000;
    if (stale()) return thought;
    if (this.person()) this.sayTurn();
    this.thought = thought;
    this.seconds = (performance.now() - begun) / 1000;
    this.values[this.moves.length] = thought.value_first;
    this.showFound();
    exact.then((found) => { if (!stale() && this.thought === thought) { this.exact = found.moves; this.showFound(); } }, (error) => this.onTrouble(error.message));
    return thought;
  }

  // What shorter searches find, one after the other: together they take a third of the time of the whole.
  async glimpse(asked, simulations, begun, stale) {
    const { levels } = this.players.find(({ id }) => id === asked.player), known = this.thought ? this.thought.simulations : -1;
    for (const level of levels.filter((each) => each > known && each < simulations)) {
      const found = await post("think", { ...asked, simulations: level }).catch(() => null); // the whole search says what is wrong
      if (!found || stale()) return;
      this.glimpsed = found;
      this.seconds = (performance.now() - begun) / 1000;
      this.showFound();
    }
  }

  // The next level above that of the thought shown.
  async deeper() {
    const turn = ++this.turn, stale = () => turn !== this.turn;
    const { levels } = this.players.find(({ id }) => id === byId(`player-${this.seat()}`).value);
    const next = levels.find((level) => level > this.thought.simulations);
    byId("deeper").disabled = true;
    try {
      if (next !== undefined) await this.think(next, stale);
    } catch (error) {
      if (!stale()) this.onTrouble(error.message);
    }
    if (!stale()) this.buttons();
  }

  mover() {
    return this.look.sides[this.position.to_play];
  }

  news() {
    if (!this.moves.length) return "";
    const before = this.history.at(-2);
    return before ? `${this.look.sides[before.to_play]} played ${this.moves.at(-1)}. ` : "";
  }

  say(text) {
    if (byId("status").textContent !== text) byId("status").textContent = text;
  }

  show() {
    const { position, look } = this, side = byId("side").value;
    Object.assign(this, { thought: null, glimpsed: null, exact: null });
    this.board.draw(position, look, { live: !position.over && this.person(), turned: look.turns && this.mode === "play" && side === "1" });
    this.showOthers();
    this.buttons();
    if (position.over) this.values[this.moves.length] = position.points;
    showRecord(this.moves);
    this.showFound();
    if (position.over) this.say(this.news() + this.result());
    else if (this.person()) this.sayTurn();
    else if (this.mode === "watch") this.say(`${this.news()}${this.mover()} to move.`);
  }

  sayTurn() {
    const both = byId("side").value === "both";
    this.say(`${this.news()}${both ? `${this.mover()} to move.` : `Your move; you are ${this.mover()}.`}`);
  }

  result() {
    const { points } = this.position, { sides } = this.look;
    if (!points) return "A draw.";
    const winner = points > 0 ? 0 : 1, side = byId("side").value;
    if (this.mode === "play" && side !== "both") return Number(side) === winner ? `You win as ${sides[winner]}.` : `${sides[winner]} wins.`;
    return `${sides[winner]} wins.`;
  }

  // Moves without a place on the board: a pass, a swap, all moves of a game that the page does not know.
  showOthers() {
    const others = this.position.legal.filter((move) => move.to === undefined);
    const live = !this.position.over && this.person();
    byId("others").hidden = !(live && others.length);
    byId("others").replaceChildren(...(live ? others : []).map((move) => {
      const button = element("button", { type: "button" }, move.text);
      button.addEventListener("click", () => this.make(move.text));
      return button;
    }));
  }

  showFound() {
    const { exact, look, position } = this, thought = this.thought ?? this.glimpsed, shown = this.showing;
    const known = this.values.slice(0, this.moves.length + 1);
    byId("search").hidden = !shown;
    showValue(look.sides, shown || position.over ? known.at(-1) : null);
    showCurve(look.sides, shown || position.over ? known : []);
    this.board.show(shown ? thought : null, exact);
    byId("legend").textContent = shown && thought && !this.arrows() ? LEGEND + (exact ? TRUE_LEGEND : "") : shown && thought ? "An arrow is as broad as its share of the visits. Beside it: value for the player to move, share of the visits, prior p." : "";
    if (!shown) return;
    const name = this.players.find(({ id }) => id === byId(`player-${this.seat()}`).value).label;
    showMoves(thought, exact, this.all);
    const onward = Boolean(thought && !this.thought);
    byId("search").setAttribute("aria-busy", String(onward));
    showThought(thought, { name, mover: this.mover(), seconds: this.seconds, onward });
    this.buttons();
  }

  arrows() {
    return this.position.legal.some((move) => move.from !== undefined);
  }

  buttons() {
    const { position, thought } = this;
    if (!this.players) return;
    const answering = position && !this.person() && (this.mode === "play" || this.running);
    const { levels } = this.players.find(({ id }) => id === byId(`player-${this.seat()}`).value);
    byId("back").disabled = !this.moves.length;
    byId("run").textContent = this.running ? "Pause" : "Start";
    byId("run").disabled = byId("step").disabled = Boolean(position?.over);
    byId("show").setAttribute("aria-pressed", String(this.showing));
    byId("deeper").disabled = !thought || answering || !levels.some((level) => level > thought.simulations);
    byId("text").disabled = Boolean(position?.over);
  }
}
