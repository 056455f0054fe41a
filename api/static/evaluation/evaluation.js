// Thresholds that are tried out: all figures and images follow, and nothing is recorded until Save.
import { call, Problem } from "../api.js";
import { drawCurve } from "./curve.js";
import { refresh } from "../parts.js";
import { clearProblem, showProblem } from "../problems.js";
import { forgive } from "./shots.js";

const PAUSE_MS = 150;
const place = document.querySelector("[data-evaluation]");
const section = document.getElementById("concepts");
const undo = section.querySelector("[data-undo]");
const rows = [...section.querySelectorAll("[data-concept]")];

let waiting;
let looking = false;
let again = false;

section.addEventListener("input", ({ target }) => {
  if (!target.matches("[data-slider], [data-number]")) return;
  // A number that is being typed is not one yet.
  if (target.value === "" || !target.validity.valid) return;
  set(target.closest("[data-concept]"), Number(target.value), target);
});
section.addEventListener("click", ({ target }) => {
  const use = target.closest("[data-use]");
  if (use) set(use.closest("[data-concept]"), Number(use.dataset.use));
});
undo.addEventListener("click", () => {
  for (const row of rows) show(row, recorded(row));
  look();
});
section.querySelector("[data-save]").addEventListener("click", save);
document.querySelector("[data-gallery-filters]").addEventListener("formdata", ({ formData }) => {
  for (const [id, value] of changed()) formData.append("threshold", `${id}:${value}`);
});
// A click goes where the page is now, also before the figures have followed.
document.addEventListener("error", forgive, true);

const curve = drawCurve(document.querySelector("[data-curve]"), place.dataset.evaluation, place.dataset.split, thresholdOf);

function set(row, value, typed) {
  show(row, value, typed);
  curve.move();
  clearTimeout(waiting);
  waiting = setTimeout(look, PAUSE_MS);
}

function show(row, value, typed) {
  for (const control of row.querySelectorAll("[data-slider], [data-number]")) {
    if (control !== typed) control.value = value;
  }
}

// Of several changes that come while figures are on their way, only the last is asked for.
async function look(atLeast) {
  const url = new URL(location.href);
  url.searchParams.delete("threshold");
  for (const [id, value] of changed()) url.searchParams.append("threshold", `${id}:${value}`);
  history.replaceState(history.state, "", url);
  undo.disabled = !changed().length;
  curve.move();
  again = looking;
  if (looking) return;
  looking = true;
  await refresh(atLeast);
  looking = false;
  document.body.dataset.looked = Number(document.body.dataset.looked ?? 0) + 1;
  if (again) look();
}

async function save() {
  clearProblem(section);
  const thresholds = Object.fromEntries(changed());
  if (!changed().length) return;
  try {
    const { position } = await call("PUT", `${place.dataset.evaluation}/thresholds`, { body: thresholds });
    for (const row of rows) number(row).dataset.recorded = number(row).value;
    await look(position);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    showProblem(section, { message: problem.message, errors: [] });
  }
}

function changed() {
  return rows
    .filter((row) => number(row).value !== "" && Number(number(row).value) !== recorded(row))
    .map((row) => [row.dataset.concept, Number(number(row).value)]);
}

function number(row) {
  return row.querySelector("[data-number]");
}

function recorded(row) {
  return Number(number(row).dataset.recorded);
}

function thresholdOf(id) {
  const row = rows.find((one) => one.dataset.concept === id);
  return row ? Number(number(row).value) : undefined;
}
