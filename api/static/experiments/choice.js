// Two trials that are chosen in the table are compared on the page that compares two versions.
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
  button?.addEventListener("click", () => {
    const [first, second] = chosen;
    location.assign(`/versions/${first}/compare/${second}`);
  });
  showChoice();
}

// The table may have been made anew; what was chosen is kept.
export function showChoice() {
  if (!button) return;
  for (const box of document.querySelectorAll("[data-choose]")) box.checked = chosen.has(box.value);
  button.disabled = chosen.size !== 2;
  const text = chosen.size ? `${chosen.size} chosen${chosen.size === 2 ? "" : "; choose two"}` : "";
  if (status.textContent !== text) status.textContent = text;
}
