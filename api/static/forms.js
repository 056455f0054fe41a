// Forms with data-api are sent as one JSON call: data-method, data-action, and data-then to follow;
// without data-then, what was answered is an event of the document.
import { call, newKey, Problem } from "./api.js";
import { confirmed } from "./dialogs.js";
import { listOf } from "./form_list.js";
import * as messages from "./messages.js";
import { clearProblem, showProblem } from "./problems.js";

const LEAVING_MS = 10_000;
const unanswered = new WeakMap();

export function sendForms() {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("form[data-api]")) return;
    event.preventDefault();
    submit(form);
  });
  keepOwnRules(document);
}

// The API's rules are the rules; the browser's own would say less and at other places.
export function keepOwnRules(within) {
  for (const form of within.querySelectorAll("form[data-api]")) form.noValidate = true;
}

async function submit(form) {
  if (form.ariaBusy === "true") return;
  clearProblem(form);
  form.ariaBusy = "true";
  let isLeaving = false;
  try {
    const body = contentOf(form);
    if (!(await confirmed(form))) return;
    const { method, action } = form.dataset;
    const key = keyOf(form, `${method} ${action} ${JSON.stringify(body)}`);
    const answer = await call(method, action, { body, key });
    unanswered.delete(form);
    isLeaving = Boolean(form.dataset.then);
    if (isLeaving) follow(form.dataset.then, answer);
    // The form itself may have been replaced meanwhile, as part of a live page.
    else document.dispatchEvent(new CustomEvent("answered", { detail: { form, answer } }));
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (problem.answered) unanswered.delete(form);
    showProblem(form, problem);
  } finally {
    const free = () => (form.ariaBusy = null);
    // Where the next page is slow to come, a second click would do it a second time.
    if (isLeaving) {
      setTimeout(free, LEAVING_MS);
      addEventListener("pageshow", free, { once: true });
    } else free();
  }
}

// The same submission keeps its key until it is answered, so that it happens once.
function keyOf(form, content) {
  const before = unanswered.get(form);
  const kept = before?.content === content ? before : { content, key: newKey() };
  unanswered.set(form, kept);
  return kept.key;
}

function contentOf(form) {
  const controls = [...form.elements].filter((control) => control.name && !control.matches(":disabled"));
  if (!controls.length && !("body" in form.dataset)) return undefined;
  const body = {};
  for (const control of controls) {
    if (control.validity.badInput) throw new Problem("", [{ field: control.name, detail: messages.ENTER_A_NUMBER }]);
    const value = valueOf(control);
    if (value === undefined) continue;
    const path = control.name.split(".");
    const last = path.pop();
    path.reduce((inner, name) => (inner[name] ??= {}), body)[last] = value;
  }
  return body;
}

// What a control says; undefined where it leaves that to the server.
export function valueOf(control) {
  const { kind } = control.dataset;
  if (kind === "list") return listOf(control);
  if (kind === "choices" && "optional" in control.dataset && !control.querySelector("input:checked")) return undefined;
  if (kind === "choices") return [...control.querySelectorAll("input:checked")].map((one) => JSON.parse(one.value));
  if (kind === "object") return {};
  if (kind === "interval") return intervalOf(control);
  if (kind === "range") return [...control.querySelectorAll("input")].map((one) => Number(one.value));
  if (kind === "numbers") return numbersIn(control);
  if (control.type === "radio" && !control.checked) return undefined;
  if (kind === "toggle") return control.checked === control.defaultChecked ? undefined : control.checked;
  const text = control.value.trim();
  if (kind === "lines") return text.split("\n").map((line) => line.trim()).filter(Boolean);
  if (text === "" && (kind === "number" || "optional" in control.dataset)) return undefined;
  return kind === "number" ? Number(text) : control.value;
}

// A range of numbers and whether it is searched by the logarithm; undefined where neither end is
// given.
function intervalOf(control) {
  const [least, most] = [...control.querySelectorAll("input[type=number]")].map((one) => one.value.trim());
  if (least === "" && most === "") return undefined;
  if (least === "" || most === "") throw new Problem("", [{ field: control.name, detail: messages.GIVE_BOTH_ENDS }]);
  return { least: Number(least), most: Number(most), log: control.querySelector("input[type=checkbox]").checked };
}

// Numbers with commas or spaces between them.
function numbersIn(control) {
  const words = control.value.split(/[\s,;]+/).filter(Boolean);
  const wrong = words.find((word) => !Number.isFinite(Number(word)));
  if (wrong !== undefined) throw new Problem("", [{ field: control.name, detail: messages.noNumber(wrong) }]);
  return words.map(Number);
}

// Go where data-then says, and there see the log at least as far as this change.
function follow(then, answer) {
  const [path, anchor = ""] = then.replaceAll("{id}", answer.id).split("#");
  const to = new URL(path === "here" ? location.href : path, location.href);
  to.searchParams.set("at_least", answer.position);
  to.hash = anchor;
  location.assign(to);
}
