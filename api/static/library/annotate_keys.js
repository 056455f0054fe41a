// The keys of annotating. They can be switched off (WCAG 2.1.4), and that is remembered.

const OFF = "annotate.shortcuts";
const ARROWS = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"]);

export function onKeys(toggle, place, actions) {
  toggle.checked = localStorage.getItem(OFF) !== "off";
  toggle.addEventListener("change", () => localStorage.setItem(OFF, toggle.checked ? "on" : "off"));
  document.addEventListener("keydown", (event) => {
    if (!toggle.checked || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
    if (event.target.closest("input:not([type=checkbox]), select, textarea")) return;
    // Enter and the space bar are a focused button's own.
    const own = event.target.closest("button, a, summary, input") && ["Enter", " "].includes(event.key);
    if (!own && act(event, place, actions)) event.preventDefault();
  });
}

// Whether the key meant something.
function act({ key, ctrlKey, shiftKey }, place, { boxes, ...actions }) {
  if (ARROWS.has(key)) return arrow(key, { ctrlKey, shiftKey }, boxes, actions);
  const shared = ctrlKey
    ? { z: actions.undo, s: actions.save }
    : { Enter: actions.saveAndNext, "-": actions.sayWithout };
  const drawing = boxes && !ctrlKey
    ? {
        "+": actions.add, Delete: actions.delete, Backspace: actions.delete,
        "[": () => boxes.step(-1), "]": () => boxes.step(1), Escape: () => boxes.select(-1),
      }
    : {};
  const meant = { ...shared, ...drawing }[key];
  if (meant) {
    meant();
    return true;
  }
  const button = !ctrlKey && key.length === 1 && place.querySelector(`[data-key="${CSS.escape(key.toLowerCase())}"]`);
  if (button) actions.sayConcept(button.dataset.says);
  return Boolean(button);
}

function arrow(key, { ctrlKey, shiftKey }, boxes, { leave }) {
  if (boxes && boxes.nudge(key, { size: shiftKey, fine: ctrlKey })) return true;
  const way = { ArrowLeft: "previous", ArrowRight: "next" }[key];
  if (!way || ctrlKey) return false;
  leave(shiftKey ? `${way}-unannotated` : way);
  return true;
}
