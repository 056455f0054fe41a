// What the page says about saving: of the image that is shown, of images that failed, and the counts.
import { refresh } from "../parts.js";
import * as messages from "./messages.js";

const BETWEEN_COUNTS = 1500;

export function stateOf(work, outbox) {
  const { STATES } = messages;
  if (outbox.isSaving(work)) return STATES.saving;
  if (work.problem) return work.problem.undecided ? STATES.undecided : STATES.failed;
  if (work.changed) return STATES.changed;
  return work.annotated || work.saving.base.annotations.length ? STATES.saved : STATES.empty;
}

// Names the images that failed in the page's box, and puts buttons that lead back to them in `place`.
export function showUnsaved(works, shown, place) {
  const failed = [...works.values()].filter((each) => each.problem);
  const box = document.getElementById("problem");
  box.textContent = failed.map(({ image: { file_name: name }, problem, gone }) => {
    return gone ? messages.gone(name) : messages.failed(name, problem.message);
  }).join("\n");
  box.hidden = !failed.length;
  place.replaceChildren(...failed.filter((each) => !each.gone && each !== shown).map(({ image }) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: messages.backTo(image.file_name) });
    button.dataset.back = image.image_id;
    return button;
  }));
}

// Refreshes the counts, one call at a time, so that an older answer never replaces a newer one, and few
// of a fast typist's.
export class Counts {
  #running;

  constructor(position) {
    this.position = position;
  }

  async refresh() {
    if (this.#running) {
      this.#running.again = true;
      return;
    }
    do {
      this.#running = { again: false };
      await refresh(this.position() || undefined);
      await new Promise((resolve) => setTimeout(resolve, BETWEEN_COUNTS));
    } while (this.#running.again);
    this.#running = undefined;
  }
}
