// Two to eight trials that are chosen in the table are compared on a page of their own.
import * as messages from "../messages.js";

const [FEWEST, MOST] = [2, 8];
const button = document.querySelector("[data-compare]");
const status = document.querySelector("[data-chosen]");
const chosen = new Set();

export function keepChoice() {
  document.addEventListener("change", ({ target }) => {
    if (!target.matches("[data-choose]")) return;
    if (target.checked) chosen.add(target.value);
    else chosen.delete(target.value);
    showChoice();
  });
  button.addEventListener("click", () => {
    const address = new URL(button.dataset.compare, location);
    address.searchParams.set("trials", [...chosen].join(","));
    location.assign(address);
  });
  showChoice();
}

// The table may have been made anew; what was chosen is kept.
export function showChoice() {
  for (const box of document.querySelectorAll("[data-choose]")) {
    box.checked = chosen.has(box.value);
    box.disabled = chosen.size >= MOST && !box.checked;
  }
  button.disabled = chosen.size < FEWEST;
  const text = chosen.size ? messages.chosen(chosen.size, { few: FEWEST, most: MOST }) : "";
  if (status.textContent !== text) status.textContent = text;
}
