// Suspects: each is decided on by its buttons or by keys, many by their checkboxes.
import { call, Problem } from "../api.js";
import { forgive } from "../evaluation/shots.js";
import * as messages from "./messages.js";
import { refresh } from "../parts.js";
import { clearProblem, showProblem } from "../problems.js";

const place = document.querySelector("[data-suspects]");
const one = (name) => document.querySelector(`[data-${name}]`);
const rows = () => [...document.querySelectorAll("[data-suspect]")];
const checked = () => [...document.querySelectorAll("[data-check]:checked")].map(({ value }) => value);
const nothing = { elements: [], querySelector: () => null, querySelectorAll: () => [] };

let busy = false;

async function decide(decision, items, next) {
  if (busy || !items.length) return;
  busy = true;
  clearProblem(nothing);
  try {
    const url = `${place.dataset.suspects}/${items.length === 1 && decision !== "corrected" ? `${encodeURIComponent(items[0])}/decision` : "decisions"}`;
    const isOne = url.endsWith("/decision");
    const { position } = await call(isOne ? "PUT" : "POST", url, { body: isOne ? { decision } : { decision, items } });
    await refresh(position);
    one("said").textContent = messages.decided(items.length, decision);
    enable();
    (document.getElementById(next) ?? rows()[0] ?? document.getElementById("main")).focus();
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    showProblem(nothing, { message: problem.message, errors: [] });
  } finally {
    busy = false;
  }
}

// The id of the row that is in its place once this one has gone.
function after(row) {
  return (row.nextElementSibling ?? row.previousElementSibling)?.id;
}

function enable() {
  for (const button of document.querySelectorAll("[data-many]")) button.disabled = !checked().length;
  if (one("all")) one("all").checked = rows().length > 0 && checked().length === rows().length;
}

document.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-decide], [data-many]");
  if (!button) return;
  const { decide: decision, many } = button.dataset;
  const row = button.closest("[data-suspect]");
  if (many) decide(many, checked());
  else decide(decision, [row.dataset.suspect], after(row));
});

document.addEventListener("change", ({ target }) => {
  if (target.matches("[data-all]")) for (const box of document.querySelectorAll("[data-check]")) box.checked = target.checked;
  if (target.matches("[data-all], [data-check]")) enable();
});

document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("input:not([type=checkbox]), select, textarea, dialog")) return;
  const row = event.target.closest("[data-suspect]");
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (by) {
    const all = rows();
    const next = all[row ? all.indexOf(row) + by : 0];
    if (!next) return;
    event.preventDefault();
    next.focus();
    next.scrollIntoView({ block: "nearest" });
    return;
  }
  const wanted = { u: '[data-decide="upheld"]', n: '[data-decide="unsure"]', c: "[data-correct]", x: "[data-check]" }[event.key];
  const meant = wanted && row?.querySelector(wanted);
  if (!meant) return;
  event.preventDefault();
  meant.click();
});

document.addEventListener("error", forgive, true);
// Who comes back from the annotator goes on where they were.
const back = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
if (back) {
  back.focus();
  back.scrollIntoView({ block: "center" });
}
enable();
