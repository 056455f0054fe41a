// What a version suggests for the image that is shown: dashed and with its scores, until somebody
// accepts it, changes it or rejects it.
import { call } from "../api.js";
import { percent } from "../numbers.js";
import { look } from "./annotate_saving.js";
import { NOTHING, REMOVED, suggested } from "./messages.js";

const AT_ONCE = 20;

export class Suggestions {
  #known = new Map();

  // `changed(work)` is told when the suggestion for a work is there.
  constructor({ view, place, labels, boxes, changed }) {
    Object.assign(this, { view, place, labels, boxes, changed, path: `/api/v1/views/${view}/suggestions` });
  }

  // Asks once for each image that is not annotated; a suggestion that cannot be had is none.
  async ask(work) {
    const id = work.image.image_id;
    if (work.annotated || this.#known.has(id)) return;
    this.#known.set(id, undefined);
    const { suggestion } = await call("GET", `${this.path}/${id}`).catch(() => ({}));
    if (!suggestion || work.annotated) return;
    this.#known.set(id, suggestion);
    work.saving.once = `${this.path}/${id}/annotations`;
    this.changed(work);
  }

  of(work) {
    return work.annotated ? undefined : this.#known.get(work.image.image_id);
  }

  // What a work says once the suggestion is accepted as it is.
  accepted(work) {
    const found = this.of(work);
    if (!found) return undefined;
    const annotations = found.annotations.map(({ annotation: { concept_id, box } }) => (box ? { concept_id, box } : { concept_id }));
    return { annotations, without_concept: !annotations.length };
  }

  async reject(work) {
    const id = work.image.image_id;
    const { position } = await call("POST", `${this.path}/reject`, { body: { image_ids: [id] } });
    this.#known.set(id, undefined);
    work.saving.once = undefined;
    return position;
  }

  show(work) {
    const found = this.of(work);
    const scores = new Map((found?.annotations ?? []).map(({ annotation, score }) => [annotation.concept_id, score]));
    for (const button of this.place.querySelectorAll("[data-says]")) {
      const score = scores.get(button.dataset.says);
      button.classList.toggle("suggested", score !== undefined && !this.boxes);
      if (score === undefined || this.boxes) delete button.dataset.score;
      else button.dataset.score = percent(score);
    }
    if (this.boxes) this.boxes.suggest(found ? found.annotations.map(({ annotation, score }) => ({ ...annotation, score })) : []);
    const part = this.place.querySelector("[data-suggestion]");
    part.hidden = !found;
    if (!found) return;
    const named = found.annotations.map(({ annotation, score }) => suggested(this.labels[annotation.concept_id] ?? REMOVED, score));
    part.querySelector("[data-suggested]").textContent = named.join(", ") || NOTHING;
  }

  // The next image of the queue, which begins with what the version is least sure of.
  async next(by, skips, position) {
    const query = { by, limit: AT_ONCE, ...(position && { at_least: position }) };
    const { items } = await call("GET", `${this.path}?${new URLSearchParams(query)}`);
    const found = items.find((item) => !skips(item));
    return found && look(found.image_id, this.view);
  }
}
