// The keys of annotating. They can be switched off (WCAG 2.1.4), and that is remembered.

const OFF = "annotate.shortcuts";
const ARROWS = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"]);

// `meets(time)` is whether a key that was pressed then meets an image; it refuses one that does not.
export function onKeys(toggle, place, { meets, ...actions }) {
  toggle.checked = localStorage.getItem(OFF) !== "off";
  toggle.addEventListener("change", () => localStorage.setItem(OFF, toggle.checked ? "on" : "off"));
  document.addEventListener("keydown", (event) => {
    if (!toggle.checked || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
    if (event.target.closest("input:not([type=checkbox]), select, textarea")) return;
    // Enter and the space bar are a focused button's own.
    const own = event.target.closest("button, a, summary, input") && ["Enter", " "].includes(event.key);
    const meant = !own && meaningOf(event, place, actions);
    if (!meant) return;
    event.preventDefault();
    // A key that is held says nothing of the images that come meanwhile.
    if (event.repeat && !ARROWS.has(event.key)) return;
    if (meets(event.timeStamp)) meant();
  });
}

// What the key does; none if it means nothing.
function meaningOf({ key, ctrlKey, shiftKey }, place, { boxes, crops, ...actions }) {
  if (crops && key === "Tab" && !ctrlKey) return () => crops.step(shiftKey ? -1 : 1);
  if (ARROWS.has(key)) return arrow(key, { ctrlKey, shiftKey }, boxes, actions);
  const shared = ctrlKey
    ? { z: actions.undo, y: actions.redo, Z: actions.redo, s: actions.save }
    : {
        Enter: actions.saveAndNext, "-": actions.sayWithout, ".": actions.review, "=": actions.accept, "!": actions.reject,
        ">": actions["zoom-in"], "<": actions["zoom-out"], "*": actions.fit, "/": actions.search,
        ...(crops ? {} : { ";": actions.copy }), ...(boxes || crops ? { ",": actions.hide } : {}),
      };
  const drawing = boxes && !ctrlKey
    ? {
        "+": actions.add, "'": actions.only, Delete: actions.delete, Backspace: actions.delete,
        "[": () => boxes.step(-1), "]": () => boxes.step(1), Escape: () => boxes.select(-1),
      }
    : {};
  const meant = { ...shared, ...drawing }[key];
  if (meant) return meant;
  const button = !ctrlKey && key.length === 1 && place.querySelector(`[data-key="${CSS.escape(key.toLowerCase())}"]`);
  return button ? () => actions.sayConcept(button.dataset.says) : undefined;
}

function arrow(key, { ctrlKey, shiftKey }, boxes, { leave }) {
  if (boxes && boxes.canNudge) return () => boxes.nudge(key, { size: shiftKey, fine: ctrlKey });
  const way = { ArrowLeft: "previous", ArrowRight: "next" }[key];
  if (!way || ctrlKey) return undefined;
  return () => leave(shiftKey ? `${way}-unannotated` : way);
}
