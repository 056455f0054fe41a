// The header of every page: menus close by Escape and a click elsewhere, and trainings are counted.

const BETWEEN_COUNTS = 10_000;

export function navigation() {
  document.addEventListener("click", ({ target }) => {
    // A dialog that a menu has opened leaves it open.
    if (!target.closest("dialog")) closeMenus((menu) => !menu.contains(target));
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || document.querySelector("dialog[open]")) return;
    const open = document.activeElement?.closest("details.menu[open]");
    closeMenus(() => true);
    open?.querySelector("summary").focus();
  });
  countTrainings();
  document.addEventListener("refreshed", countTrainings);
}

function closeMenus(isClosed) {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (isClosed(menu)) menu.open = false;
}

let counted = -Infinity;

async function countTrainings() {
  const place = document.querySelector("[data-trainings-count]");
  if (!place || performance.now() - counted < BETWEEN_COUNTS) return;
  counted = performance.now();
  const response = await fetch("/api/v1/trainings/count", { headers: { Accept: "application/json" } }).catch(() => undefined);
  // A page that is cut off says so elsewhere.
  if (!response?.ok) return;
  const { unfinished } = await response.json();
  place.textContent = unfinished ? `(${unfinished})` : "";
}
