// The dialog of a training: what applies is shown, with the default that it has by what is chosen.
import { call, Problem } from "../api.js";
import { editable, fillList, showDefault as showList } from "../form_list.js";
import { resolve } from "./form_rules.js";
import { valueOf } from "../forms.js";
import { counted, percent } from "../numbers.js";
import { showProblem } from "../problems.js";

const STARTABLE = ["ready", "stopped"];
const MOST = 500;
const dialog = document.getElementById("train");
const form = dialog.querySelector("form");
const start = form.querySelector("[data-versions]");

let controls = [];

dialog.addEventListener("opened", async () => {
  const found = await asked(form.dataset.form);
  if (!found) return;
  controls = found.sections.flatMap((section) => section.controls);
  delete start.dataset.architecture;
  show();
});
form.addEventListener("input", show);
for (const list of form.querySelectorAll("[data-kind=list]")) editable(list);

function show() {
  const given = Object.fromEntries(controls.map((control) => [control.key, valueOf(at(control))]));
  for (const { control, shown, standard, value } of resolve(controls, given)) {
    const element = at(control);
    element.disabled = !shown;
    element.closest("[data-control]").hidden = !shown;
    if (shown) showDefault(control, element, standard);
    if (control.key === "architecture") offerStarts(value);
  }
}

function at(control) {
  return form.elements.namedItem(`options.${control.key}`);
}

function showDefault(control, element, standard) {
  if (control.type === "list") showList(element, standard ?? []);
  else if (control.type === "toggle") element.defaultChecked = standard;
  else if (element.tagName === "SELECT") element.options[0].textContent = `default (${nameOf(control, standard)})`;
  else element.placeholder = standard === null ? "none" : plain(standard);
}

function nameOf(control, value) {
  return control.choices.find((choice) => choice.value === value)?.label ?? value ?? "none";
}

// Without an exponent: small learning rates are read as what they are.
function plain(value) {
  return typeof value === "number" ? value.toLocaleString("en", { useGrouping: false, maximumSignificantDigits: 15 }) : value;
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
  start.replaceChildren(start.options[0], ...usable.map((one) => new Option(describe(one), one.version_id)));
  start.value = usable.some((one) => one.version_id === chosen) ? chosen : "";
  if (start.value !== chosen) show();
}

// "#again=VERSION" opens the dialog with that version's options; "#again=VERSION,0.1" with a tenth of its learning rate.
async function again() {
  const [, version, factor = 1] = location.hash.match(/^#again=([\w-]+)(?:,([\d.]+))?$/) ?? [];
  if (!version) return;
  history.replaceState(null, "", location.pathname + location.search);
  dialog.showModal();
  controls = (await asked(form.dataset.form))?.sections.flatMap((section) => section.controls) ?? [];
  const { version: { options } = {} } = (await asked(`/api/v1/versions/${version}`)) ?? {};
  if (!options || !controls.length) return;
  const given = differing({ ...options, initial_learning_rate: Number((options.initial_learning_rate * factor).toPrecision(3)) });
  if (given.start_from) await offerStarts(options.architecture);
  for (const [key, value] of Object.entries(given)) {
    const element = at(controls.find((control) => control.key === key));
    if (element.dataset.kind === "list") fillList(element, value);
    else if (element.dataset.kind === "toggle") element.checked = value;
    else element.value = value;
  }
  show();
}

// The options of a version that are not the defaults, as the form would take them.
function differing(options) {
  const given = {};
  for (const control of controls) {
    const { shown, standard } = resolve(controls, given).find((one) => one.control === control);
    const value = control.key === "pretrained" ? (options.pretrained ?? "none") : (options[control.key] ?? null);
    if (shown && value !== null && JSON.stringify(value) !== JSON.stringify(standard)) given[control.key] = value;
  }
  if (given.start_from) delete given.pretrained;
  return given;
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

function describe({ name, concepts, indicator, created_at }) {
  const figure = indicator === null ? [] : [percent(indicator, 1)];
  return [name, counted(concepts.length, "concept"), ...figure, created_at.slice(0, 10)].join(" · ");
}

again();
addEventListener("hashchange", again);
