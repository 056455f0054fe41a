// Someone said something else of the image meanwhile: nothing is replaced before it is seen.
import { ago } from "../times.js";
import * as messages from "./messages.js";

// Resolves to "theirs", "mine", or "" where the dialog was closed.
export async function decided(name, theirs, mine, labels) {
  const dialog = document.getElementById("conflict");
  const { changed_by: who, changed_at: at, revision } = theirs;
  dialog.querySelector("[data-who]").textContent = messages.conflict({ who, name, ago: ago(at), revision });
  dialog.querySelector("[data-theirs]").textContent = told(theirs, labels);
  dialog.querySelector("[data-mine]").textContent = told(mine, labels);
  dialog.returnValue = "";
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  return dialog.returnValue;
}

function told({ annotations, without_concept: without }, labels) {
  if (without) return messages.WITHOUT_CONCEPT;
  if (!annotations.length) return messages.NOT_ANNOTATED;
  const boxed = annotations.filter((annotation) => annotation.box).length;
  const names = annotations.map(({ concept_id: id }) => labels[id] ?? messages.REMOVED_CONCEPT);
  return messages.boxes(boxed, names);
}
