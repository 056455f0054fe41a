// The library's table: two to eight versions are chosen and compared, and columns are hidden.
import * as messages from "../messages.js";

const [FEWEST, MOST] = [2, 8];
const HIDDEN = "library.hidden";
const chosen = new Set();

const table = () => document.querySelector("[data-library]");
const hidden = () => JSON.parse(localStorage.getItem(HIDDEN) ?? "[]");

function compare(ids) {
  const address = new URL(table().dataset.compare, location);
  address.searchParams.set("versions", ids.join(","));
  location.assign(address);
}

// The table may have been made anew: what was chosen is kept.
function show() {
  if (!table()) return;
  const isFull = chosen.size >= MOST;
  for (const box of table().querySelectorAll("[data-choose]")) {
    box.checked = chosen.has(box.value);
    box.disabled = isFull && !box.checked;
  }
  // One click more compares with what is chosen.
  for (const button of table().querySelectorAll("[data-compare-with]")) {
    button.hidden = !chosen.size || isFull || chosen.has(button.dataset.compareWith);
  }
  const button = table().querySelector("[data-compare-chosen]");
  if (button) {
    button.disabled = chosen.size < FEWEST;
    const text = chosen.size ? messages.chosen(chosen.size, { few: FEWEST, most: MOST }) : "";
    const status = table().querySelector("[data-chosen]");
    if (status.textContent !== text) status.textContent = text;
  }
  for (const box of table().querySelectorAll("[data-column]")) {
    box.checked = !hidden().includes(box.value);
    table().classList.toggle(`without-${box.value}`, !box.checked);
  }
}

document.addEventListener("change", ({ target }) => {
  if (target.matches("[data-choose]")) {
    if (target.checked) chosen.add(target.value);
    else chosen.delete(target.value);
    show();
  }
  if (target.matches("[data-column]")) {
    const others = hidden().filter((column) => column !== target.value);
    localStorage.setItem(HIDDEN, JSON.stringify(target.checked ? others : [...others, target.value]));
    show();
  }
});
document.addEventListener("click", ({ target }) => {
  if (target.closest("[data-compare-chosen]")) compare([...chosen]);
  const other = target.closest("[data-compare-with]")?.dataset.compareWith;
  if (other) compare([...chosen, other]);
  if (target.closest("dialog")) return;
  // One menu at a time.
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(target)) menu.open = false;
});
document.addEventListener("keydown", ({ key }) => {
  const menu = key === "Escape" && document.querySelector("details.menu[open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});
document.addEventListener("refreshed", show);
show();
