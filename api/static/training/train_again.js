// The dialog of a training, filled with the options of an earlier version.
import { fillList } from "../form_list.js";
import * as messages from "./messages.js";
import { plain } from "../numbers.js";
import { resolve } from "./form_rules.js";

// `factor` is by what its learning rate is multiplied: a training that diverged gets a smaller one.
export async function fillAgain(form, controls, earlier, factor, offerStarts) {
  const notes = [messages.again(earlier.name)];
  if (form.elements.trainer) form.elements.trainer.value = "";
  if (earlier.trainer) notes.push(...fillTrainer(form, earlier.trainer));
  else {
    const { options } = earlier;
    const rate = Number((options.initial_learning_rate * factor).toPrecision(3));
    const given = differing(controls, { ...options, initial_learning_rate: rate });
    if (given.start_from) await offerStarts(options.architecture);
    form.querySelector("#train-preset-balanced").checked = true;
    for (const [key, value] of Object.entries(given)) fill(form.elements.namedItem(`options.${key}`), value);
    if (rate !== options.initial_learning_rate) {
      form.querySelector("details").open = true;
      if (earlier.reason) notes.push(messages.failure(earlier.reason));
      notes.push(messages.smaller(plain(rate), plain(options.initial_learning_rate)));
    }
  }
  const note = form.querySelector("[data-again]");
  note.textContent = notes.join(" ");
  note.hidden = false;
}

function fill(element, value) {
  if (element.dataset.kind === "list") fillList(element, value);
  else if (element.dataset.kind === "toggle") element.checked = value;
  else element.value = value;
}

// The settings of a trainer; notes on those that it no longer has.
function fillTrainer(form, { name, settings }) {
  const own = [...form.querySelectorAll("[data-trainer]")].find((part) => part.dataset.trainer === name);
  if (!own) return [messages.retired(name)];
  form.elements.trainer.value = name;
  own.disabled = false;
  const missing = Object.entries(settings).filter(([key, value]) => {
    const element = [...own.elements].find((one) => one.name === `settings.${key}`);
    if (element) fill(element, value);
    return !element;
  });
  return missing.map(([key]) => messages.missing(name, key));
}

// The options of a version that are not the defaults, as the form would take them.
function differing(controls, options) {
  const given = {};
  for (const control of controls) {
    const { shown, standard } = resolve(controls, given).find((one) => one.control === control);
    const value = control.key === "pretrained" ? (options.pretrained ?? "none") : (options[control.key] ?? null);
    if (shown && value !== null && JSON.stringify(value) !== JSON.stringify(standard)) given[control.key] = value;
  }
  if (given.start_from) delete given.pretrained;
  return given;
}
