// The dialog of a training: what applies is shown, with the default that it has by what is chosen.
import { call, Problem } from "../api.js";
import { editable, showDefault as showList } from "../form_list.js";
import { plain } from "../numbers.js";
import { resolve } from "./form_rules.js";
import { valueOf } from "../forms.js";
import { showProblem } from "../problems.js";
import { fillAgain } from "./train_again.js";
import { showEstimate } from "./estimate.js";
import * as messages from "./messages.js";

const STARTABLE = ["ready", "stopped"];
const MOST = 500;
const dialog = document.getElementById("train");
const form = dialog.querySelector("form");
const start = form.querySelector("[data-versions]");
const ofView = form.dataset.action;

let controls = [];
let presets = {};

dialog.addEventListener("opened", ({ detail }) => open(detail));
form.addEventListener("input", show);
for (const list of form.querySelectorAll("[data-kind=list]")) editable(list);

// For the view's current model, or another one that is named.
async function open({ model, name } = {}) {
  form.dataset.action = model ? `/api/v1/models/${model}/versions` : ofView;
  dialog.querySelector("[data-trained]").textContent = model ? name : messages.A_VERSION;
  form.querySelector("[data-again]").hidden = true;
  await read();
}

async function read() {
  const found = await asked(form.dataset.form);
  if (!found) return;
  controls = found.sections.flatMap((section) => section.controls);
  presets = Object.fromEntries(found.presets.map(({ key, options }) => [key, options]));
  delete start.dataset.architecture;
  show();
}

function preset() {
  return form.querySelector("[name=preset]:checked").value;
}

// The trainer that is chosen, or the empty text: the training is Stemma's own.
function trainer() {
  return form.elements.trainer?.value ?? "";
}

function show() {
  const chosen = trainer();
  for (const part of form.querySelectorAll("[data-built-in], [data-trainer]")) {
    const isShown = (part.dataset.trainer ?? "") === chosen;
    part.hidden = !isShown;
    part.disabled = !isShown;
  }
  const given = Object.fromEntries(controls.map((control) => [control.key, valueOf(at(control))]));
  for (const { control, shown, standard, value } of resolve(controls, given, presets[preset()])) {
    const element = at(control);
    element.disabled = !shown;
    element.closest("[data-control]").hidden = !shown;
    if (shown) showDefault(control, element, standard);
    if (control.key === "architecture") offerStarts(value);
  }
  const choice = chosen
    ? { trainer: chosen, settings: JSON.stringify(settingsOf(chosen)) }
    : { preset: preset(), options: JSON.stringify(given) };
  showEstimate(form, choice);
}

function settingsOf(name) {
  const elements = [...form.elements].filter((one) => one.closest("[data-trainer]")?.dataset.trainer === name && one.name);
  return Object.fromEntries(elements.map((one) => [one.name.slice(one.name.indexOf(".") + 1), valueOf(one)]));
}

function at(control) {
  return form.elements.namedItem(`options.${control.key}`);
}

function showDefault(control, element, standard) {
  if (control.type === "list") showList(element, standard ?? []);
  else if (control.type === "toggle") element.defaultChecked = standard;
  else if (element.tagName === "SELECT") element.options[0].textContent = messages.standard(nameOf(control, standard));
  else element.placeholder = standard === null ? messages.NONE : typeof standard === "number" ? plain(standard) : standard;
}

function nameOf(control, value) {
  return control.choices.find((choice) => choice.value === value)?.label ?? value ?? messages.NONE;
}

// The versions of this view that a training of an architecture can start from, the newest first.
async function offerStarts(architecture) {
  if (start.dataset.architecture === architecture) return;
  start.dataset.architecture = architecture;
  const query = new URLSearchParams({ view_id: start.dataset.versions, architecture, limit: MOST });
  const { items = [] } = (await asked(`/api/v1/versions?${query}`)) ?? {};
  if (start.dataset.architecture !== architecture) return;
  const chosen = start.value;
  const usable = items.filter((one) => one.checkpoint && STARTABLE.includes(one.status));
  start.replaceChildren(start.options[0], ...usable.map((one) => new Option(described(one), one.version_id)));
  start.value = usable.some((one) => one.version_id === chosen) ? chosen : "";
  if (start.value !== chosen) show();
}

// "#again=VERSION" opens the dialog with that version's options; "#again=VERSION,0.1" with a tenth of its learning rate.
async function again() {
  const [, version, factor = 1] = location.hash.match(/^#again=([\w-]+)(?:,([\d.]+))?$/) ?? [];
  if (!version) return;
  history.replaceState(null, "", location.pathname + location.search);
  dialog.showModal();
  await open();
  const { version: earlier } = (await asked(`/api/v1/versions/${version}`)) ?? {};
  if (!earlier || !controls.length) return;
  await fillAgain(form, controls, earlier, Number(factor), offerStarts);
  show();
}

// What the API answers; undefined, and a problem is shown, if it does not. The form works all the same.
async function asked(url) {
  try {
    return await call("GET", url);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    showProblem(form, problem);
    return undefined;
  }
}

function described({ name, concepts, indicator, created_at }) {
  return messages.start({ name, concepts: concepts.length, indicator, createdAt: created_at });
}

again();
addEventListener("hashchange", again);
