// The filmstrip: the neighbours of the image that is shown, in the order of the list.
import { inFilmstrip } from "./messages.js";

const BEFORE = 4;
const AFTER = 6;
const FETCHED = 12;

export class Filmstrip {
  #rows = [];
  #ended = { before: false, after: false };
  #turn = 0;
  #filling = false;
  #shown;
  #pictures = new Map();

  // `find(query)` gives a page of the list, `isAnnotated(row)` whether an image has an annotation now.
  constructor(place, { find, isAnnotated }) {
    Object.assign(this, { place, find, isAnnotated });
  }

  // This image is shown now.
  aim(image) {
    if (!this.#rows.some((row) => row.image_id === image.image_id)) {
      this.#turn += 1;
      this.#rows = [image];
      this.#ended = { before: false, after: false };
      this.#filling = false;
    }
    this.#shown = image.image_id;
    this.draw();
    this.#fill();
  }

  draw() {
    const at = this.#at;
    const shown = this.#rows.slice(Math.max(at - BEFORE, 0), at + AFTER + 1);
    const focused = this.place.contains(document.activeElement) && document.activeElement.dataset.film;
    const items = shown.map((row) => this.#item(row));
    this.place.replaceChildren(...items);
    if (focused) this.place.querySelector(`[data-film="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    const current = items[shown.findIndex((row) => row.image_id === this.#shown)];
    // Not scrollIntoView, which would scroll the page, too.
    if (current) this.place.scrollLeft = current.offsetLeft - (this.place.clientWidth - current.offsetWidth) / 2;
  }

  get #at() {
    return this.#rows.findIndex((row) => row.image_id === this.#shown);
  }

  #item(row) {
    const { image_id: id, file_name: name } = row;
    const isDone = this.isAnnotated(row);
    const button = Object.assign(document.createElement("button"), { type: "button", title: name, ariaLabel: inFilmstrip(name, isDone) });
    button.dataset.film = id;
    if (id === this.#shown) button.ariaCurrent = "true";
    button.classList.toggle("done", isDone);
    button.append(this.#picture(row));
    const item = document.createElement("li");
    item.append(button);
    return item;
  }

  // A picture is made once and moved about, so that it does not blink.
  #picture({ image_id: id, width, height }) {
    if (!this.#pictures.has(id)) {
      const picture = Object.assign(new Image(44, 44), { alt: "", draggable: false, src: `/api/v1/images/${id}/thumbnail` });
      if (width <= 64 && height <= 64) picture.className = "tiny";
      this.#pictures.set(id, picture);
    }
    return this.#pictures.get(id);
  }

  // What fails is tried again with the next image.
  async #fill() {
    if (this.#filling) return;
    const turn = this.#turn;
    this.#filling = true;
    try {
      const [first, last] = [this.#rows[0], this.#rows.at(-1)];
      const [lacksBefore, lacksAfter] = [this.#at < BEFORE, this.#rows.length - this.#at <= AFTER];
      const [before, after] = await Promise.all([
        lacksBefore && !this.#ended.before ? this.find({ cursor: first.added_position, limit: FETCHED, order: "newest" }) : undefined,
        lacksAfter && !this.#ended.after ? this.find({ cursor: last.added_position, limit: FETCHED }) : undefined,
      ]);
      if (turn !== this.#turn) return;
      const known = new Set(this.#rows.map((row) => row.image_id));
      const fresh = (rows = []) => rows.filter((row) => !known.has(row.image_id));
      this.#rows = [...fresh(before).reverse(), ...this.#rows, ...fresh(after)];
      if (before) this.#ended.before = before.length < FETCHED;
      if (after) this.#ended.after = after.length < FETCHED;
      if (!before && !after) return;
      for (const row of this.#rows) this.#picture(row);
      this.draw();
    } catch {
      // The strip is a way to go; the page says elsewhere when the server does not answer.
    } finally {
      if (turn === this.#turn) this.#filling = false;
    }
  }
}
