// Signing in: with the key that is typed, or what is in the address that `stemma login` prints.
import { call, Problem } from "../api.js";
import { confirmed } from "../dialogs.js";
import * as messages from "./messages.js";
import { clearProblem, showProblem } from "../problems.js";
import { shown } from "../shown_once.js";

const form = document.querySelector("form[data-login]");
const input = form.elements.namedItem("key");

form.addEventListener("submit", (event) => {
  event.preventDefault();
  signIn({ key: input.value.trim() });
});

take();
// An address that differs only after the # does not load the page again.
addEventListener("hashchange", take);

// What follows the # is never sent; it is taken out of the address, and so out of the history.
function take() {
  const given = new URLSearchParams(location.hash.slice(1));
  const name = ["code", "key", "invitation"].find((one) => given.has(one));
  if (!name) return;
  history.replaceState(null, "", location.pathname + location.search);
  if (name === "invitation") showInvitation(given.get(name));
  else signIn({ [name]: given.get(name) });
}

// An invitation waits for a click: programs that look at links press no button.
function showInvitation(invitation) {
  const place = document.querySelector("[data-invitation]");
  place.hidden = false;
  form.hidden = true;
  clearProblem(place);
  const button = place.querySelector("[data-accept]");
  button.disabled = false;
  button.onclick = () => accept(invitation, place, button);
}

async function accept(invitation, place, button) {
  button.disabled = true;
  try {
    const { key } = await call("POST", "/api/v1/invitations/accept", { body: { invitation } });
    await shown(key);
    form.hidden = false;
    place.hidden = true;
    await signIn({ key });
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    form.hidden = false;
    showProblem(place, problem);
  }
}

async function signIn(credentials) {
  clearProblem(form);
  form.ariaBusy = "true";
  try {
    await begin(credentials);
    location.replace(form.dataset.login);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    showProblem(form, problem);
  } finally {
    form.ariaBusy = null;
  }
}

// The session of somebody else in this browser is replaced only if the user wants it.
async function begin(credentials) {
  try {
    await call("POST", "/api/v1/sessions", { body: credentials });
  } catch (problem) {
    if (!(problem instanceof Problem) || problem.status !== 409) throw problem;
    Object.assign(form.dataset, { confirm: messages.question(problem.message), ...messages.REPLACE });
    if (!(await confirmed(form))) throw problem;
    await call("POST", "/api/v1/sessions", { body: { ...credentials, replace: true } });
  }
}
