// Access: a key is shown once, and a role is granted to the account whose button was pressed.
import * as messages from "./messages.js";
import { clearProblem } from "../problems.js";
import { showOnce } from "../shown_once.js";

showOnce();

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-grant]");
  if (!opener) return;
  const form = document.querySelector("#grant form");
  clearProblem(form);
  form.dataset.action = opener.dataset.grant;
  form.querySelector("h2").textContent = messages.grant(opener.dataset.what);
});
