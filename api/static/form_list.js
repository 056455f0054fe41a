// A list of operations in their order: a fieldset with data-kind="list", an ol, a template for each.
import * as messages from "./messages.js";

// The operations with the parameters that are filled in; undefined where they are the default.
export function listOf(list) {
  const entries = [...list.querySelectorAll("[data-op]")].map((entry) => {
    const filled = [...entry.querySelectorAll("[data-parameter]")].filter((one) => one.value !== "");
    const parameters = filled.map((one) => [one.dataset.parameter, Number(one.value)]);
    return { op: entry.dataset.op, ...Object.fromEntries(parameters) };
  });
  return JSON.stringify(entries) === list.dataset.default ? undefined : entries;
}

// Show the default, unless the user has made another list.
export function showDefault(list, entries) {
  const untouched = listOf(list) === undefined;
  list.dataset.default = JSON.stringify(entries);
  if (!untouched) return;
  list.querySelector("ol").replaceChildren(...entries.map(({ op }) => made(list, op)));
  arrange(list);
}

// Make it another list than the default: operations, each with its parameters.
export function fillList(list, entries) {
  list.querySelector("ol").replaceChildren(...entries.map(({ op, parameters = {} }) => {
    const entry = made(list, op);
    for (const [key, value] of Object.entries(parameters)) entry.querySelector(`[data-parameter="${key}"]`).value = value;
    return entry;
  }));
  arrange(list);
}

export function editable(list) {
  list.addEventListener("click", (event) => {
    const button = event.target.closest("[data-list]");
    if (!button) return;
    const entry = button.closest("[data-op]");
    const { told, focus } = DOINGS[button.dataset.list](list, entry, button);
    arrange(list);
    (focus?.disabled ? other(focus) : focus)?.focus();
    list.querySelector("[role=status]").textContent = told;
    list.dispatchEvent(new Event("input", { bubbles: true }));
  });
}

const DOINGS = {
  add(list) {
    const select = list.querySelector("[data-add]");
    const entry = made(list, select.value);
    list.querySelector("ol").append(entry);
    return { told: messages.added(nameOf(entry)), focus: entry.querySelector("input") ?? entry.querySelector("button") };
  },
  remove(list, entry) {
    const beside = entry.nextElementSibling ?? entry.previousElementSibling;
    entry.remove();
    return { told: messages.removed(nameOf(entry)), focus: (beside ?? list).querySelector("[data-list=remove], [data-add]") };
  },
  up(_list, entry, button) {
    entry.previousElementSibling.before(entry);
    return moved(entry, button);
  },
  down(_list, entry, button) {
    entry.nextElementSibling.after(entry);
    return moved(entry, button);
  },
};

function moved(entry, button) {
  const place = [...entry.parentElement.children].indexOf(entry) + 1;
  return { told: messages.moved(nameOf(entry), place), focus: button };
}

function other(button) {
  const wanted = button.dataset.list === "up" ? "down" : "up";
  return button.parentElement.querySelector(`[data-list=${wanted}]`);
}

function made(list, op) {
  return list.querySelector(`template[data-of="${op}"]`).content.firstElementChild.cloneNode(true);
}

// What depends on the order: where errors belong, which moves there are, what can still be added.
function arrange(list) {
  const { key } = list.dataset;
  const entries = [...list.querySelectorAll("[data-op]")];
  entries.forEach((entry, place) => {
    entry.querySelector("fieldset").dataset.field = `${key}[${place}]`;
    for (const one of entry.querySelectorAll("[data-parameter]")) one.dataset.field = `${key}[${place}].${one.dataset.parameter}`;
    entry.querySelector("[data-list=up]").disabled = place === 0;
    entry.querySelector("[data-list=down]").disabled = place === entries.length - 1;
  });
  const there = new Set(entries.map((entry) => entry.dataset.op));
  const select = list.querySelector("[data-add]");
  for (const option of select.options) option.hidden = option.disabled = there.has(option.value);
  const left = [...select.options].find((option) => !option.disabled);
  if (select.selectedOptions[0]?.disabled ?? true) select.value = left?.value ?? "";
  select.disabled = list.querySelector("[data-list=add]").disabled = !left;
  list.querySelector("[data-none]").hidden = entries.length > 0;
}

function nameOf(entry) {
  return entry.querySelector("legend").textContent;
}
