// One image on this page: what the server has of it, what is on the page, and its saving.
import { Problem } from "../api.js";
import { decided } from "./annotate_conflict.js";
import { isSame } from "./annotate_crops.js";
import { meaning, saidOf, Saving } from "./annotate_saving.js";
import { EDITED } from "./messages.js";

const GONE = new Set([404, 410]);
// Nobody signed in, another's session, too many calls: all can be otherwise the next time.
const PASSING = new Set([401, 403, 429]);

export class Work {
  constructor(image, view, labels, blind) {
    this.saving = new Saving(view, blind);
    this.labels = labels;
    this.begin(image);
  }

  // Leaving out a removed concept is no change of the user's: looking at an image saves nothing.
  begin(image) {
    this.image = image;
    this.saving.begin(image);
    const isCrop = ({ box }) => !image.crops || image.crops.some((crop) => isSame(crop.box, box));
    const known = image.annotations.filter((annotation) => annotation.concept_id in this.labels && isCrop(annotation));
    this.crops = (image.crops ?? []).filter((crop) => crop.chosen).map((crop) => crop.box);
    this.said = this.kept = { ...saidOf(image), annotations: known };
    this.lacksRemoved = known.length < image.annotations.length;
    this.problem = undefined;
  }

  get changed() {
    return meaning(this.said) !== meaning(this.kept);
  }

  // Whether saving it again may go better than the last time.
  get savable() {
    const { problem } = this;
    return this.changed && (!problem || problem.answered === false || PASSING.has(problem.status));
  }

  // Of crops, each has a concept, or all others are said to hold none.
  get annotated() {
    const { annotations, without_concept: without } = this.said;
    if (this.image.crops) return without || this.crops.every((box) => annotations.some((each) => isSame(each.box, box)));
    return this.said.annotations.length > 0 || this.said.without_concept;
  }
}

// Saves works in the background: those of different images at once, those of one in turn.
export class Outbox {
  position = 0;
  #running = new Map();
  #deciding = Promise.resolve();

  // `changed(work)` is told of each step of a work's saving.
  constructor(changed) {
    this.changed = changed;
  }

  get busy() {
    return this.#running.size > 0;
  }

  isSaving(work) {
    return this.#running.has(work);
  }

  // Resolves to whether the server has what the work says now.
  save(work) {
    work.wanted = work.said;
    if (!this.#running.has(work)) {
      if (!work.changed) {
        work.problem = undefined;
        return Promise.resolve(true);
      }
      const run = this.#run(work).finally(() => {
        this.#running.delete(work);
        this.changed(work);
      });
      this.#running.set(work, run);
      this.changed(work);
    }
    return this.#running.get(work);
  }

  async #run(work) {
    work.problem = undefined;
    try {
      for (let sending; meaning(work.wanted) !== meaning(work.kept); work.kept = sending) {
        sending = work.wanted;
        let done = await work.saving.save(sending);
        while (done.theirs) {
          const { theirs } = done;
          const choice = await this.#decide(work, theirs, sending);
          if (choice === "theirs") {
            work.begin(theirs);
            return false;
          }
          if (choice !== "mine") {
            work.problem = { message: EDITED, undecided: true };
            return false;
          }
          work.saving.begin(theirs);
          if (!work.saving.differs(sending)) break;
          done = await work.saving.save(sending);
        }
        work.lacksRemoved = false;
        work.image.reviewed_by = null; // a change ends the review
        this.position = Math.max(this.position, done.position ?? 0);
      }
      return true;
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      work.problem = problem;
      work.gone = GONE.has(problem.status);
      return false;
    }
  }

  // There is one dialog: the next question waits for the answer to the last.
  #decide(work, theirs, mine) {
    const answer = this.#deciding.then(() => decided(work.image.file_name, theirs, mine, work.labels));
    this.#deciding = answer.catch(() => undefined);
    return answer;
  }
}
