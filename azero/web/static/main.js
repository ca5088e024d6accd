// The page: which part is shown, in what colours.

import { get } from "./api.js";
import { Better } from "./better.js";
import { Table } from "./game.js";
import { Runs } from "./runs.js";
import { byId } from "./shapes.js";

const PAGES = { play: "Play", watch: "Watch", better: "Which move is better?", runs: "Runs" };
const THEMES = ["auto", "dark", "light"];
const THEME = "azero.theme";

function trouble(text) {
  byId("trouble").textContent = text;
  byId("trouble").hidden = !text;
}

function paint(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  byId("theme").textContent = `Theme: ${theme}`;
}

function themes() {
  let theme = localStorage.getItem(THEME) || "auto";
  paint(theme);
  byId("theme").addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    localStorage.setItem(THEME, theme);
    paint(theme);
  });
}

async function begin() {
  themes();
  const { games } = await get("start");
  const table = new Table(games, trouble);
  const better = new Better(games, trouble);
  const runs = new Runs(games, trouble, (game, player) => {
    table.next = { game, player };
    location.hash = "#play";
  });
  const open = () => {
    const name = PAGES[location.hash.slice(1)] ? location.hash.slice(1) : "play";
    for (const link of document.querySelectorAll("nav a")) {
      if (link.getAttribute("href") === `#${name}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    byId("heading").textContent = PAGES[name];
    document.title = `${PAGES[name]} – azero`;
    trouble("");
    byId("table").hidden = name !== "play" && name !== "watch";
    byId("better").hidden = name !== "better";
    byId("runs").hidden = name !== "runs";
    if (name === "better") better.open();
    else if (name === "runs") runs.open();
    if (name === "play" || name === "watch") table.open(name);
    else table.leave();
  };
  addEventListener("hashchange", (event) => {
    if (location.hash === "#main") history.replaceState(null, "", new URL(event.oldURL).hash || "#play");
    else open();
  });
  open();
}

begin().catch((error) => trouble(error.message));
