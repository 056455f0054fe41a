// The dialog of a new experiment: how many trainings a choice makes, and the space that is searched.
import { call, Problem } from "../api.js";
import * as messages from "./messages.js";
import { showProblem } from "../problems.js";

const dialog = document.getElementById("start");
const form = dialog.querySelector("form");
const custom = form.querySelector("[data-custom]");
const epochsOf = form.querySelector("#start-epochs");
const summary = form.querySelector("[data-summary]");
const estimate = form.querySelector("[data-estimate]");

let filled = false;
let estimated = "";

dialog.addEventListener("opened", async () => {
  show();
  if (filled) return;
  try {
    fill((await call("GET", form.dataset.space)).space);
    filled = true;
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    showProblem(form, problem);
  }
});
form.addEventListener("input", show);
// "#start-experiment" in the address opens it. No element has this name: the browser would move the
// focus there.
function openedByAddress() {
  if (location.hash !== "#start-experiment" || dialog.open) return;
  history.replaceState(history.state, "", location.pathname + location.search);
  dialog.showModal();
  dialog.dispatchEvent(new Event("opened"));
}
openedByAddress();
addEventListener("hashchange", openedByAddress);

// The controls of a search space, as the server would search it by default.
function fill(space) {
  for (const [key, values] of Object.entries(space)) {
    const control = form.elements.namedItem(`space.${key}`);
    const { kind } = control.dataset;
    if (kind === "numbers") control.value = values.join(", ");
    const inputs = control.querySelectorAll("input");
    if (kind === "range") inputs.forEach((input, index) => (input.value = values[index]));
    if (kind === "choices") for (const input of inputs) input.checked = values.includes(JSON.parse(input.value));
  }
  custom.dataset.filled = "";
}

function show() {
  const chosen = form.querySelector("[name=preset]:checked");
  const own = chosen.value === "";
  const trainer = form.elements.trainer?.value ?? "";
  for (const part of form.querySelectorAll("[data-custom]")) {
    const { trainer: whose, builtIn } = part.dataset;
    const isShown = own && (whose === undefined ? builtIn === undefined || !trainer : whose === trainer);
    part.hidden = !isShown;
    part.disabled = !isShown;
  }
  epochsOf.name = trainer ? "settings.epochs" : "options.epochs";
  const trials = own ? form.elements.budget.value : chosen.dataset.trials;
  const epochs = own ? epochsOf.value : chosen.dataset.epochs;
  const text = messages.planned(trials, epochs);
  if (summary.textContent !== text) summary.textContent = text;
  showEstimate({ budget: trials, epochs, concurrency: own ? form.elements.concurrency.value : "" });
}

// About how long it takes. While a choice is wrong there is no estimate; what is wrong is said when
// the experiment is started.
async function showEstimate(choice) {
  const query = new URLSearchParams(Object.entries(choice).filter(([, value]) => value !== "")).toString();
  if (query === estimated) return;
  estimated = query;
  let duration = "";
  try {
    ({ duration } = await call("GET", `${form.dataset.estimates}?${query}`));
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
  }
  if (query === estimated) estimate.textContent = duration;
}
