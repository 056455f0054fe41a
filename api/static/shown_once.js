// What an answer tells once is shown until the user has kept it: data-shows names its field.
import { refresh } from "./parts.js";

export function showOnce() {
  const dialog = document.getElementById("shown-once");
  const value = dialog.querySelector("input");
  document.addEventListener("answered", ({ detail: { form, answer } }) => {
    const { shows } = form.dataset;
    if (!shows) return;
    form.reset();
    form.closest("dialog")?.close();
    value.value = answer[shows] ?? "Shown before, and never again: rotate it to get another.";
    dialog.showModal();
    value.select();
    refresh(answer.position);
  });
  // Escape would lose it.
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  dialog.addEventListener("close", () => {
    value.value = "";
  });
}
