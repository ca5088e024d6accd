// The runs: how they learned, and their checkpoints to play against.

import { get } from "./api.js";
import { chart } from "./chart.js";
import { byId, element, percent } from "./shapes.js";

const PAIRS = [["policy_loss"], ["value_loss"], ["kept_value", "kept_value_search"], ["score"]];

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds % 3600 / 60)} min`;
}

function table(headings, rows) {
  const head = element("thead", {}, element("tr", {}, ...headings.map((text) => element("th", { scope: "col" }, text))));
  const body = element("tbody", {}, ...rows.map((cells) => element("tr", {}, ...cells.map((cell) => element("td", {}, cell)))));
  return element("table", {}, head, body);
}

export class Runs {
  constructor(games, onTrouble, onPlay) {
    Object.assign(this, { games, onTrouble, onPlay });
  }

  async open() {
    try {
      const runs = await get("runs");
      this.onTrouble("");
      byId("run-page").replaceChildren();
      if (!runs.length) {
        byId("run-list").replaceChildren(element("p", {}, "There are no runs yet: azero train connect_four makes one, and azero serve --runs FOLDER looks elsewhere."));
        return;
      }
      byId("run-list").replaceChildren(table(["run", "game", "iterations", "time", "strength"], runs.map((run) => {
        const open = element("button", { type: "button" }, run.name);
        open.addEventListener("click", () => this.show(run.name));
        const strength = Object.entries(run.strength).map(([name, value]) => `${name} ${(100 * value).toFixed(1)} %`).join(", ");
        return [open, this.title(run.game), `${run.iterations ?? 0}`, duration(run.seconds), strength || "–"];
      })));
      await this.show(runs[0].name);
    } catch (error) {
      this.onTrouble(error.message);
    }
  }

  title(name) {
    return this.games.find((game) => game.name === name)?.title || name || "–";
  }

  async show(name) {
    try {
      const run = await get("run", { name });
      const figures = PAIRS.map((fields) => this.figure(run, fields)).filter((figure) => figure);
      const play = run.checkpoints.map((checkpoint) => {
        const button = element("button", { type: "button" }, `Play iteration ${checkpoint.iteration}`);
        button.addEventListener("click", () => this.onPlay(run.game, checkpoint.player));
        return button;
      });
      byId("run-page").replaceChildren(
        element("h2", {}, `${run.name}: ${this.title(run.game)}`),
        element("div", { class: "curves" }, ...figures),
        element("h2", {}, "Checkpoints"),
        play.length ? element("div", { class: "row" }, ...play) : element("p", {}, "There is none yet."),
      );
    } catch (error) {
      this.onTrouble(error.message);
    }
  }

  figure(run, fields) {
    const found = fields.filter((field) => run.curves[field]).map((field) => run.curves[field]);
    if (!found.length) return null;
    const curves = found.map(({ label, points }) => ({ label, points: points.map(([iteration, , value]) => [iteration, value]) }));
    const share = fields[0] !== "policy_loss" && fields[0] !== "value_loss";
    const says = curves.map(({ label, points }) => `${label}: ${points[0][1].toFixed(3)} at iteration ${points[0][0]}, ${points.at(-1)[1].toFixed(3)} at iteration ${points.at(-1)[0]}`).join("; ");
    return chart(curves, { says, x: "iterations", low: share ? null : 0, high: share ? 1 : null, write: share ? percent : String });
  }
}
