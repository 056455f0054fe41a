// Signing in: with the key that is typed, or the one in the address that `stemma login` prints.
import { call, Problem } from "../api.js";
import { clearProblem, showProblem } from "../problems.js";

const form = document.querySelector("form[data-login]");
const input = form.elements.namedItem("key");

form.addEventListener("submit", (event) => {
  event.preventDefault();
  signIn(input.value.trim());
});

// What follows the # is never sent; it is taken out of the address, and so out of the history.
const given = new URLSearchParams(location.hash.slice(1)).get("key");
if (given) {
  history.replaceState(null, "", location.pathname + location.search);
  signIn(given);
}

async function signIn(key) {
  clearProblem(form);
  form.ariaBusy = "true";
  try {
    await call("POST", "/api/v1/sessions", { body: { key } });
    location.replace(form.dataset.login);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    showProblem(form, problem);
  } finally {
    form.ariaBusy = null;
  }
}
