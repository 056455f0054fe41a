// Arrow keys go from image to image, Escape back to all of them.
import { forgive } from "./shots.js";

const KEYS = { ArrowLeft: "prev", ArrowRight: "next", Escape: "up" };

document.addEventListener("error", forgive, true);
document.addEventListener("keydown", (event) => {
  const rel = KEYS[event.key];
  if (!rel || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (event.target.closest("input, select, textarea, dialog, .scroll")) return;
  document.querySelector(`main a[rel="${rel}"]`)?.click();
});
