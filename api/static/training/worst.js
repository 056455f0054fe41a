// The worst errors of a version, once it is evaluated: made by the server, loaded after the page.
import { forgive } from "../evaluation/shots.js";

const section = document.getElementById("worst");

export async function showWorst() {
  const status = document.querySelector("h1 [data-status]").dataset.status;
  if (!["ready", "stopped"].includes(status)) return;
  const response = await fetch(section.dataset.worst, { headers: { Accept: "text/html" } }).catch(() => undefined);
  if (!response?.ok || response.redirected) return;
  // What the server renders is escaped, and scripts of a parsed document do not run.
  const made = new DOMParser().parseFromString(await response.text(), "text/html");
  section.querySelector("[data-worst-images]").replaceChildren(...made.body.children);
  section.hidden = false;
  if (location.hash === "#worst") section.scrollIntoView();
}

section.addEventListener("error", forgive, true);
