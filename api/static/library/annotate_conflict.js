// Someone said something else of the image meanwhile: nothing is replaced before it is seen.
import { ago } from "../times.js";

// Resolves to "theirs", "mine", or "" where the dialog was closed.
export async function decided(name, theirs, mine, labels) {
  const dialog = document.getElementById("conflict");
  const { changed_by: who, changed_at: at, revision } = theirs;
  dialog.querySelector("[data-who]").textContent =
    `${who} changed this image, ${name}, ${ago(at)}; it is at revision ${revision}. Yours is not saved.`;
  dialog.querySelector("[data-theirs]").textContent = told(theirs, labels);
  dialog.querySelector("[data-mine]").textContent = told(mine, labels);
  dialog.returnValue = "";
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  return dialog.returnValue;
}

function told({ annotations, without_concept: without }, labels) {
  if (without) return "without concept";
  if (!annotations.length) return "not annotated";
  const boxed = annotations.filter((annotation) => annotation.box).length;
  const names = annotations.map(({ concept_id: id }) => labels[id] ?? "removed concept");
  return `${boxed ? `${boxed} box${boxed > 1 ? "es" : ""}: ` : ""}${names.join(", ")}`;
}
