// What is said of an image, saved with the revision it was based on: nobody is replaced unseen.
import { call, newKey, Problem } from "../api.js";
import { KEEPS_CHANGING } from "./messages.js";

const TRIES = 3;

// One text for one meaning, whatever the order of the annotations.
export function meaning({ annotations, without_concept: without }) {
  const told = annotations.map(({ concept_id: id, box }) => {
    const sides = box ? [box.x, box.y, box.width, box.height].map((side) => side.toFixed(9)) : [];
    return [id, ...sides].join(" ");
  });
  return [...told.sort(), without ? "without" : ""].join("\n");
}

export const saidOf = ({ annotations, without_concept }) => ({ annotations, without_concept });

// The image as it is now, with what the view says of it.
export async function look(imageId, viewId) {
  const { head } = await call("GET", "/api/v1/status");
  const { image } = await call("GET", `/api/v1/images/${imageId}?view_id=${viewId}&at_least=${head}`);
  return image;
}

export class Saving {
  // `url` is where it is saved, if not with the image: a suspect's correction is recorded as one.
  // `once` is where it is saved the first time: what was suggested is recorded as such.
  // What is said `blind` is saved beside what others said, so whatever that is by now.
  constructor(viewId, blind = false) {
    this.viewId = viewId;
    this.blind = blind;
  }

  begin(image) {
    this.imageId = image.image_id;
    this.revision = image.revision;
    this.base = saidOf(image);
    this.sent = undefined;
  }

  differs(said) {
    return meaning(said) !== meaning(this.base);
  }

  // Resolves to the log's position, or to { theirs } where someone said something else meanwhile.
  async save(said) {
    const done = await this.#insist(() => this.#put(said));
    if (!done.theirs) this.base = said;
    return done;
  }

  // Mark what is saved as reviewed (PUT), or take that back (DELETE); resolves as `save` does.
  review(method) {
    const url = `/api/v1/images/${this.imageId}/reviews/${this.viewId}`;
    return this.#insist(() => call(method, url, { headers: { "If-Match": `"${this.revision}"` } }));
  }

  async #insist(send) {
    for (let left = TRIES; left; left -= 1) {
      try {
        const answer = await send();
        this.revision = answer.revision;
        return { position: answer.position };
      } catch (problem) {
        if (!(problem instanceof Problem) || problem.status !== 412) throw problem;
        const theirs = await look(this.imageId, this.viewId);
        // Another view or the split has changed: what we would replace is what we have seen.
        if (meaning(theirs) !== meaning(this.base)) return { theirs };
        this.revision = theirs.revision;
      }
    }
    throw new Problem(KEEPS_CHANGING);
  }

  // The same content keeps its key until it is answered, so that it happens once.
  async #put(body) {
    const place = this.blind ? "blind-annotations" : "annotations";
    const url = this.once ?? this.url ?? `/api/v1/images/${this.imageId}/${place}/${this.viewId}`;
    const content = `${url} ${this.revision} ${meaning(body)}`;
    if (this.sent?.content !== content) this.sent = { content, key: newKey() };
    const headers = this.blind ? {} : { "If-Match": `"${this.revision}"` };
    try {
      const answer = await call("PUT", url, { body, key: this.sent.key, headers });
      this.once = undefined;
      return answer;
    } catch (problem) {
      if (!this.once || problem.status !== 409) throw problem;
      // It is decided, or another version suggests by now: what is said counts all the same.
      this.once = undefined;
      return this.#put(body);
    }
  }
}
