// A session that has ended: sign in again where one is, and what was begun goes on.
import * as common from "../messages.js";
import * as messages from "./messages.js";

let asking;

// Resolves to whether somebody is signed in now; several calls ask once.
export function signInAgain() {
  asking ??= ask().finally(() => {
    asking = undefined;
  });
  return asking;
}

// The token of the session that the browser has now, in place of the page's; whether there is one.
export async function followSession() {
  const response = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => undefined);
  if (!response?.ok) return false;
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  const token = fresh.querySelector('meta[name="csrf-token"]');
  if (!token) return false;
  document.querySelector('meta[name="csrf-token"]')?.replaceWith(token);
  const who = fresh.querySelector(".who");
  if (who) document.querySelector(".who")?.replaceWith(who);
  return true;
}

async function ask() {
  const dialog = document.getElementById("sign-in-again");
  if (!dialog || (await followSession())) return Boolean(dialog);
  const form = dialog.querySelector("form");
  const key = form.elements.namedItem("key");
  const problem = dialog.querySelector("[data-problem]");
  const say = (text) => {
    problem.textContent = text;
    problem.hidden = !text;
  };
  dialog.querySelector("[data-why]").textContent = messages.SESSION_ENDED;
  key.value = "";
  say("");
  dialog.showModal();
  return new Promise((resolve) => {
    const proceed = async () => {
      if (!(await followSession())) return say(messages.NOT_SIGNED_IN);
      return dialog.close("signed-in");
    };
    form.onsubmit = async (event) => {
      event.preventDefault();
      if (!key.value.trim()) return proceed();
      const refusal = await signIn(key.value.trim());
      return refusal ? say(refusal) : proceed();
    };
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "signed-in"), { once: true });
    dialog.returnValue = "";
  });
}

// What is wrong with the key, if anything is.
async function signIn(key) {
  const headers = { "Content-Type": "application/json", Accept: "application/json" };
  const body = JSON.stringify({ key });
  const response = await fetch("/api/v1/sessions", { method: "POST", headers, body }).catch(() => undefined);
  if (!response) return messages.NO_ANSWER;
  if (response.ok) return "";
  return (await response.json().catch(() => ({}))).detail ?? common.refused(response.status);
}
