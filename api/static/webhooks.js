// Webhooks: a secret is shown once, what came of a test is told, and a replay is asked where from.
import { clearProblem } from "./problems.js";
import { refresh } from "./parts.js";

const secret = document.getElementById("secret");
const secretValue = document.getElementById("secret-value");

document.addEventListener("answered", ({ detail: { form, answer } }) => {
  if (form.dataset.tells === "test") tellTest(form, answer);
  else showSecret(form, answer);
});

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-replay]");
  if (!opener) return;
  const form = document.querySelector("#replay form");
  clearProblem(form);
  form.dataset.action = opener.dataset.replay;
  form.querySelector("h2").textContent = `Replay to ${opener.dataset.what}`;
  const after = form.querySelector("input");
  after.value = opener.dataset.value;
  after.select();
});

// Escape would lose it.
secret.addEventListener("cancel", (event) => event.preventDefault());
secret.addEventListener("close", () => {
  secretValue.value = "";
});

function showSecret(form, answer) {
  form.reset();
  secretValue.value = answer.secret;
  secret.showModal();
  secretValue.select();
  refresh(answer.position);
}

function tellTest(form, { status, trouble, seconds }) {
  const what = form.querySelector("button").ariaLabel.replace("Send a test to ", "");
  const came = trouble === null ? `taken, answered ${status}` : `not taken, ${trouble}`;
  document.querySelector("[data-tried]").textContent = `Test to ${what}: ${came}, in ${seconds} s`;
}
