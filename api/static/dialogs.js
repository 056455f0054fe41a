// Dialogs: what opens and closes them, the one that renames, the one that asks before something.
import * as messages from "./messages.js";
import { clearProblem } from "./problems.js";

export function openDialogs() {
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-opens]");
    if (opener) {
      event.preventDefault();
      const dialog = document.getElementById(opener.dataset.opens);
      dialog.showModal();
      dialog.dispatchEvent(new CustomEvent("opened", { detail: opener.dataset }));
    }
    if (event.target.closest("[data-closes]")) event.target.closest("dialog").close();
    const rename = event.target.closest("[data-rename]");
    if (rename) openRename(rename.dataset);
  });
}

function openRename({ rename, field, what, value, anchor }) {
  const dialog = document.getElementById("rename");
  const form = dialog.querySelector("form");
  clearProblem(form);
  form.dataset.action = rename;
  form.dataset.then = anchor ? `here#${anchor}` : "here";
  dialog.querySelector("h2").textContent = messages.rename(what);
  const input = form.querySelector("input");
  input.name = field;
  input.value = value;
  dialog.showModal();
  input.select();
}

// Whether the user wants what the form would do; asked only where it says data-confirm.
export async function confirmed(form) {
  const { confirm, yes, no } = form.dataset;
  if (!confirm) return true;
  const dialog = document.getElementById("confirm");
  dialog.querySelector("p").textContent = confirm;
  dialog.querySelector("[data-yes]").textContent =
    yes ?? form.querySelector("button:not([type=button])").textContent;
  dialog.querySelector("[data-no]").textContent = no ?? messages.CANCEL;
  dialog.returnValue = "no";
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  return dialog.returnValue === "yes";
}
