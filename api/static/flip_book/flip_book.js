// The flip book's page: the map, its player, the chosen items and the opened one, kept together.
import { Problem } from "../api.js";
import { forgive } from "../evaluation/shots.js";
import { colour } from "../lines_chart.js";
import { addressWith, fromAddress, keepAddress } from "./address.js";
import { counted, filtered, lassoed, listed, nearest } from "./chosen.js";
import { schemeOf, showLegend } from "./colours.js";
import { Items } from "./items.js";
import { read, simplified, written } from "./lasso.js";
import { follow } from "./live.js";
import { DataMap } from "./map.js";
import * as messages from "./messages.js";
import { Panel } from "./panel.js";
import { Player } from "./player.js";
import { Recording } from "./recording.js";
import { Tip } from "./tip.js";

const NEIGHBOURS = 6;
const place = document.querySelector("[data-flip-book]");
const work = JSON.parse(place.dataset.flipBook);
const one = (name) => document.querySelector(`[data-${name}]`);
const choices = one("choices");
const recording = new Recording(work.api, work.as_of);

const asked = fromAddress();
let lasso = read(asked.lasso);
let page = Number(asked.page) || 1;
let arrays;
let scheme;
let list = [];
let map;
let player;
let panel;
let items;
let tip;

async function start() {
  for (const name of ["colour", "concept", "split", "region"]) choices.elements[name].value = asked[name] ?? "";
  for (const name of ["sort", "show"]) one(name).value = asked[name] ?? "";
  for (const select of document.querySelectorAll("[data-choices] select, [data-sort], [data-show]")) {
    if (select.selectedIndex < 0) select.value = "";
  }
  await recording.open();
  tip = new Tip(one("tip"), recording);
  map = new DataMap(one("canvas"), recording.count, { hover, open, lasso: draw, rest });
  panel = new Panel(one("panel"), recording, work, { open, address: addressWith, close, nearest: (item) => nearest(map, item, NEIGHBOURS) });
  items = new Items(one("items"), recording, { open, address: addressWith, page: turn });
  player = new Player(document.querySelector(".player"), recording.epochs, go);
  paint();
  const wanted = recording.epochs.indexOf(Number(asked.epoch));
  if (lasso) await recording.load(indexOf(lasso.epoch));
  await player.show(wanted < 0 ? recording.epochs.length - 1 : wanted);
  const item = recording.places.get(asked.item);
  if (item !== undefined) open(item, { focus: false });
  listen();
  if (work.as_of === null && !work.ended) follow(`/api/v1/versions/${work.version_id}/events`, extend);
  document.body.dataset.ready = "";
}

// Shows an epoch; its points are there after so many milliseconds.
async function go(index, milliseconds) {
  const found = recording.at(index) ?? (await loaded(index));
  if (!found || player.index !== index) return;
  recording.prefetch(index);
  const isFirst = !arrays;
  arrays = found;
  colourPoints();
  filter();
  map.move(arrays.variability, arrays.confidence, isFirst ? 0 : milliseconds);
  panel.show(arrays);
  keep();
}

async function loaded(index) {
  try {
    return await recording.load(index);
  } catch (problem) {
    show(problem);
    player.pause();
    return undefined;
  }
}

function paint() {
  scheme = schemeOf(choices.elements.colour.value, recording);
  showLegend(one("legend"), scheme);
  colourPoints();
  map.paint(scheme.palette, colour("--faint"), colour("--ink"));
}

function colourPoints() {
  if (!arrays) return;
  for (let item = 0; item < recording.count; item += 1) map.colours[item] = scheme.of(item, arrays);
}

function filter() {
  const { concept, split, region } = choices.elements;
  map.shown = filtered(recording, arrays, { concept: concept.value, split: split.value, region: region.value });
  const then = lasso && recording.at(indexOf(lasso.epoch));
  map.chosen = then ? lassoed(recording, then, lasso.polygon) : null;
  map.path = lasso && lasso.epoch === arrays.epoch ? lasso.polygon : null;
  one("no-lasso").hidden = !lasso;
}

// The points are where they belong: what is costly, or spoken aloud, follows only now.
function rest() {
  if (!arrays) return;
  list = listed(map.shown, map.chosen, arrays, one("sort").value);
  one("counts").textContent = messages.chosen(arrays.epoch, list.length, recording.count, counted(list, arrays));
  items.show(list, arrays, { page, isTable: one("show").value === "table" });
  page = items.page;
  panel.showNearest(arrays);
  one("canvas").dataset.epoch = arrays.epoch;
  one("canvas").dataset.chosen = list.length;
}

function again() {
  filter();
  map.move(arrays.variability, arrays.confidence, 0);
  keep();
}

function keep() {
  const { colour: shade, concept, split, region } = choices.elements;
  keepAddress({
    epoch: player.isAtEnd ? "" : arrays.epoch,
    colour: shade.value,
    concept: concept.value,
    split: split.value,
    region: region.value,
    lasso: lasso ? written(lasso) : "",
    sort: one("sort").value,
    show: one("show").value,
    page: page > 1 ? page : "",
    item: panel.item < 0 ? "" : recording.keys[panel.item],
  });
}

function hover(item) {
  map.rings.focus = item;
  map.draw();
  tip.show(item, map, arrays);
}

async function open(item, { focus = true } = {}) {
  if (item < 0 || item === undefined) return;
  map.rings.open = item;
  map.draw();
  const opened = panel.open(item, arrays, { focus });
  if (map.isResting) panel.showNearest(arrays);
  keep();
  await opened;
}

function close() {
  panel.close();
  map.rings.open = -1;
  map.draw();
  keep();
  one("canvas").focus({ preventScroll: true });
}

function draw(polygon) {
  lasso = { epoch: arrays.epoch, polygon: simplified(polygon) };
  page = 1;
  again();
}

function turn(to) {
  page = to;
  rest();
  keep();
}

// More epochs were recorded; who looks at the last one goes along.
function extend(numbers) {
  const wasAtEnd = player.isAtEnd && !player.isPlaying;
  if (!recording.add(numbers)) return;
  panel.forget();
  player.extend(recording.epochs);
  if (wasAtEnd) player.show(recording.epochs.length - 1);
  else recording.prefetch(player.index);
}

function listen() {
  choices.addEventListener("submit", (event) => event.preventDefault());
  choices.addEventListener("change", () => {
    page = 1;
    paint();
    again();
  });
  for (const name of ["sort", "show"]) {
    one(name).addEventListener("change", () => {
      page = 1;
      turn(1);
    });
  }
  one("no-lasso").addEventListener("click", () => {
    lasso = null;
    page = 1;
    again();
    one("canvas").focus();
  });
  one("canvas").addEventListener("keydown", stepThrough);
  one("canvas").addEventListener("blur", () => hover(-1));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && panel.item >= 0 && !event.target.closest("dialog")) close();
  });
  document.addEventListener("error", forgive, true);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
}

// On the map, up and down go through the chosen items in their order, and Enter opens one.
function stepThrough(event) {
  const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (event.key === "Enter") open(map.rings.focus ?? -1);
  if (!by || !list.length) return;
  event.preventDefault();
  const at = list.indexOf(map.rings.focus ?? panel.item);
  hover(list[at < 0 ? 0 : (at + by + list.length) % list.length]);
}

function indexOf(epoch) {
  return Math.max(recording.epochs.indexOf(epoch), 0);
}

function show(problem) {
  if (!(problem instanceof Problem)) throw problem;
  const box = document.getElementById("problem");
  box.textContent = problem.message;
  box.hidden = false;
}

start().catch(show);
