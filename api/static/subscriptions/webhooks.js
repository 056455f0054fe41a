// Webhooks: what came of a test is told, and a replay is asked where from.
import { clearProblem } from "../problems.js";
import { showOnce } from "../shown_once.js";

showOnce();

document.addEventListener("answered", ({ detail: { form, answer } }) => {
  if ("tests" in form.dataset) tellTest(form, answer);
});

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-replay]");
  if (!opener) return;
  const form = document.querySelector("#replay form");
  clearProblem(form);
  form.dataset.action = opener.dataset.replay;
  form.querySelector("h2").textContent = `Replay to ${opener.dataset.what}`;
  const after = form.querySelector("input");
  after.value = "";
  after.placeholder = `it is at ${opener.dataset.at}`;
});

function tellTest(form, { status, trouble, seconds }) {
  const what = form.querySelector("button").ariaLabel.replace("Send a test to ", "");
  const came = trouble === null ? `taken, answered ${status}` : `not accepted, ${trouble}`;
  document.querySelector("[data-tried]").textContent = `Test to ${what}: ${came}, in ${seconds} s`;
}
