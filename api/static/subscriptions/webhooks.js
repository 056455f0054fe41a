// Webhooks: the result of a test is shown, and the dialog of a replay is filled.
import * as messages from "./messages.js";
import { clearProblem } from "../problems.js";
import { showOnce } from "../shown_once.js";

showOnce();

document.addEventListener("answered", ({ detail: { form, answer } }) => {
  if ("tests" in form.dataset) showTest(form, answer);
});

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-replay]");
  if (!opener) return;
  const form = document.querySelector("#replay form");
  clearProblem(form);
  form.dataset.action = opener.dataset.replay;
  form.querySelector("h2").textContent = messages.replay(opener.dataset.what);
  const after = form.querySelector("input");
  after.value = "";
  after.placeholder = messages.position(opener.dataset.at);
});

function showTest(form, result) {
  document.querySelector("[data-tried]").textContent = messages.tested(form.dataset.what, result);
}
