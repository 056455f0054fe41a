// What an answer tells once is shown until the user has kept it: data-shows names its field.
import { SHOWN_BEFORE } from "./messages.js";
import { refresh } from "./parts.js";

const dialog = document.getElementById("shown-once");
const input = dialog.querySelector("input");
const [title, label] = [dialog.querySelector("h2"), dialog.querySelector("label")];

// Escape would lose it.
dialog.addEventListener("cancel", (event) => event.preventDefault());

// Resolves once the user is done with it. `words` are the title and what it is, if not the page's.
export async function shown(value, words = {}) {
  if (words.title) title.textContent = words.title;
  if (words.label) label.textContent = words.label;
  input.value = value;
  dialog.showModal();
  input.select();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  input.value = "";
}

export function showOnce() {
  const own = { title: title.textContent, label: label.textContent };
  document.addEventListener("answered", ({ detail: { form, answer } }) => {
    const { shows, showsTitle, showsLabel } = form.dataset;
    if (!shows) return;
    form.reset();
    form.closest("dialog")?.close();
    const value = answer[shows];
    // A path is shown as the address that somebody else can open.
    const text = value?.startsWith("/") ? new URL(value, location).href : value;
    shown(text ?? SHOWN_BEFORE, { ...own, ...(showsTitle && { title: showsTitle, label: showsLabel }) });
    refresh(answer.position);
  });
}
