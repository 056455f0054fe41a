// The lists that images come from: those of the filters, and the unannotated ones; each ahead and back.
import { call } from "../api.js";
import { Ahead } from "./annotate_ahead.js";

const AHEAD = 6;

export class Lists {
  #work;
  #unannotated;

  // `work` is what the page was made with; `works` are the images that it has opened, by id, and
  // `position()` is the position of the log with all that was saved.
  constructor(work, { works, pictures, position }) {
    this.#work = work;
    this.position = position;
    this.#unannotated = { ...(work.among.split && { split: work.among.split }), annotated: "false" };
    const isGone = ({ image_id: id }) => works.get(id)?.gone;
    this.ahead = {
      next: new Ahead({ find: (query) => this.find(query), skips: isGone, pictures, depth: 1 }),
      "next-unannotated": new Ahead({
        find: (query) => this.#find(this.#unannotated, query),
        skips: (row) => works.get(row.image_id)?.annotated || isGone(row),
        pictures, depth: AHEAD, round: true,
      }),
    };
  }

  // This image is shown now.
  aim(image) {
    for (const list of Object.values(this.ahead)) list.aim(image);
  }

  // A page of the list that the filters make.
  find(query) {
    return this.#find(this.#work.among, query);
  }

  // The image before one, or before it among the unannotated, which goes round.
  async previous(where, image) {
    if (this.#work.blind) return undefined; // its list goes forward
    const isRound = where.endsWith("-unannotated");
    const wanted = isRound ? this.#unannotated : this.#work.among;
    const query = { order: "newest", limit: 1, fresh: true };
    const isOther = ({ image_id: id }) => id !== image.image_id;
    const found = (await this.#find(wanted, { ...query, cursor: image.added_position })).filter(isOther);
    if (found.length || !isRound) return found[0];
    return (await this.#find(wanted, query)).filter(isOther)[0];
  }

  async #find(wanted, { fresh, ...query }) {
    const { view_id: view, project_id: project, blind } = this.#work;
    const position = this.position();
    const at = fresh && position ? { at_least: position } : {};
    const chosen = blind ? { share: blind } : { ...wanted, view_id: view };
    const given = Object.entries({ ...chosen, ...at, ...query }).filter(([, value]) => value !== undefined);
    const list = blind ? `views/${view}/blind-images` : `projects/${project}/images`;
    const { items } = await call("GET", `/api/v1/${list}?${new URLSearchParams(given)}`);
    return items;
  }
}
