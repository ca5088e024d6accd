// What stands in a cell. Each of the two sides can be told without colour: by a ring, a dot, a direction or brightness.

import { shape } from "./shapes.js";

const CHESS = { K: "♚", Q: "♛", R: "♜", B: "♝", N: "♞", P: "♟" };
const CHESS_NAMES = { K: "king", Q: "queen", R: "rook", B: "bishop", N: "knight", P: "pawn" };
const SHOGI_NAMES = { P: "pawn", L: "lance", N: "knight", S: "silver", B: "bishop", R: "rook", G: "gold", K: "king" };
const ANIMALS = { C: "chick", E: "elephant", G: "giraffe", L: "lion", H: "hen" };
const AT_CENTRE = { cx: 0, cy: 0 };

const owner = (symbol) => (symbol === symbol.toLowerCase() ? 1 : 0);

// Whose piece a symbol of the board's text is: 0, 1, or null for an empty cell.
export function sideOf(style, symbol) {
  if (symbol === ".") return null;
  if (style === "chess" || style === "shogi") return owner(symbol);
  return symbol === "x" ? 0 : symbol === "o" ? 1 : null;
}

// A symbol in words, for those who do not see the board.
export function inWords(style, symbol, sides, game) {
  const side = sideOf(style, symbol);
  if (symbol === ".") return "empty";
  if (side === null) return symbol;
  if (style === "chess") return `${sides[side]} ${CHESS_NAMES[symbol.toUpperCase()]}`;
  if (style === "shogi") return `${sides[side]} ${pieceName(symbol, game)}`;
  return sides[side];
}

export function pieceName(symbol, game) {
  const letter = symbol.replace("+", "").toUpperCase();
  const names = game === "animal_shogi" ? ANIMALS : SHOGI_NAMES;
  return (symbol.startsWith("+") ? "promoted " : "") + (names[letter] || letter);
}

function disc(side, classes, rings) {
  const group = shape("g");
  group.append(shape("circle", { ...AT_CENTRE, r: 42, class: classes[side] }));
  if (rings && side === 0) group.append(shape("circle", { ...AT_CENTRE, r: 25, class: "inner" }));
  if (rings && side === 1) group.append(shape("path", { d: "M-15 0H15M0-15V15", class: "inner ink" }));
  return group;
}

function mark(side) {
  return side === 0
    ? shape("path", { d: "M-26-26L26 26M26-26L-26 26", class: "glyph" })
    : shape("circle", { ...AT_CENTRE, r: 29, class: "glyph" });
}

function hexStone(side) {
  const group = shape("g");
  group.append(shape("circle", { ...AT_CENTRE, r: 38, class: side ? "blue" : "first" }));
  group.append(shape("path", { d: side ? "M-18 0H18" : "M0-18V18", class: "inner" }));
  return group;
}

function koma(symbol, side, turned) {
  const up = (side === 0) !== turned;
  const group = shape("g");
  const outline = "M0-42L27-30L36 40H-36L-27-30Z";
  group.append(shape("path", { d: outline, class: "koma", transform: up ? "" : "rotate(180)" }));
  const name = symbol.toUpperCase();
  group.append(shape("text", { y: up ? 7 : -5, class: `koma-name${name.startsWith("+") ? " promoted" : ""}` }, name));
  return group;
}

export function piece(style, symbol, turned) {
  const side = sideOf(style, symbol);
  if (style === "chess") return shape("text", { class: `chessman ${side ? "black" : "white"}`, y: 4 }, `${CHESS[symbol.toUpperCase()]}\uFE0E`);
  if (style === "shogi") return koma(symbol, side, turned);
  if (style === "discs") return disc(side, ["first", "second"], true);
  if (style === "othello" || style === "stones") return disc(side, ["black", "white"], false);
  if (style === "hexagons") return hexStone(side);
  if (style === "marks") return mark(side);
  return shape("text", { "font-size": 48 }, symbol);
}
