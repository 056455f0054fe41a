// Which buttons are pressed: those of the concepts, and those that are on or off.
import { reviewed } from "./messages.js";

// `held` are the ids of the concepts that are pressed.
export function showPressed(place, { held, without, isReviewed, reviewer, hides, only }) {
  for (const button of place.querySelectorAll("[data-says]")) {
    button.ariaPressed = String(held.has(button.dataset.says));
  }
  const press = (selector, isOn) => {
    const button = place.querySelector(selector);
    if (button) button.ariaPressed = String(isOn);
  };
  press("[data-do=review]", isReviewed);
  press("[data-do=hide]", hides);
  press("[data-do=only]", only);
  press("[data-without]", without);
  place.querySelector("[data-review]").textContent = isReviewed ? reviewed(reviewer) : "";
}
