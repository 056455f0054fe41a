// The images that come next, prefetched with their pictures.

const PICTURES = 40;

// `url`'s picture, loaded and decoded, so that it can be shown at once.
class Picture {
  ready = false;

  constructor(image, element = new Image()) {
    this.element = element;
    const url = `/api/v1/images/${image.image_id}`;
    element.alt = image.file_name;
    element.draggable = false;
    element.dataset.picture = "";
    if (!element.src) element.src = `${url}/picture`;
    this.loaded = this.#load(`${url}/thumbnail?size=2048`).then(() => {
      this.ready = true;
    });
  }

  // A format that the browser lacks comes from the server, small.
  async #load(otherwise) {
    if (await complete(this.element)) return;
    this.element.src = otherwise;
    await complete(this.element);
  }
}

// Resolves to whether the picture can be seen.
async function complete(element) {
  if (!element.complete) {
    await new Promise((resolve) => {
      for (const end of ["load", "error"]) element.addEventListener(end, resolve, { once: true });
    });
  }
  if (!element.naturalWidth) return false;
  if (!element.isConnected) await element.decode().catch(() => undefined);
  return true;
}

export class Pictures {
  #known = new Map();

  constructor(image, element) {
    this.#known.set(image.image_id, new Picture(image, element));
  }

  of(image) {
    const picture = this.#known.get(image.image_id) ?? new Picture(image);
    this.#known.delete(image.image_id);
    this.#known.set(image.image_id, picture);
    for (const id of this.#known.keys()) {
      if (this.#known.size <= PICTURES) break;
      this.#known.delete(id);
    }
    return picture;
  }
}

// Images after the one that is shown, in the order of a list; `depth` of them are kept at hand.
export class Ahead {
  #rows = [];
  #at;
  #ended = false;
  #filling;
  #turn = 0;

  // `find(query)` gives a page of the list, `fresh` with all that was saved; `skips(row)` whether one is none of it any more. A list
  // that `goes round` begins again where it ends.
  constructor({ find, skips, pictures, depth, round }) {
    Object.assign(this, { find, skips, pictures, depth, round });
  }

  // This image is shown now: what comes next comes after it.
  aim(image) {
    const place = this.#rows.findIndex((row) => row.image_id === image.image_id);
    if (place >= 0) this.#rows.splice(0, place + 1);
    else if (this.#at?.image_id !== image.image_id) this.#restart();
    this.#at = image;
    if (this.#rows.length < this.depth) this.#fill();
  }

  // The next image if it can be shown at once.
  get ready() {
    const row = this.#first();
    return row && this.pictures.of(row).ready ? row : undefined;
  }

  // The next image, once it can be shown; none at the end of the list, as the server has it now.
  async next() {
    if (!this.#first()) {
      await this.#filling;
      if (!this.#first()) {
        this.#restart();
        await this.#fill(true);
      }
    }
    const row = this.#first();
    if (row) await this.pictures.of(row).loaded;
    return row;
  }

  #restart() {
    this.#turn += 1;
    this.#rows = [];
    this.#ended = false;
    this.#filling = undefined;
  }

  #first() {
    while (this.#rows.length && this.#isOver(this.#rows[0])) this.#rows.shift();
    return this.#rows[0];
  }

  #isOver(row) {
    return row.image_id === this.#at.image_id || this.skips(row);
  }

  #fill(fresh = false) {
    if (this.#ended || this.#filling) return this.#filling;
    const turn = this.#turn;
    const filling = this.#more(turn, fresh).finally(() => {
      if (this.#filling === filling) this.#filling = undefined;
    });
    this.#filling = filling;
    // Whoever waits for it learns of a problem; a prefetch that fails is tried again.
    filling.catch(() => undefined);
    return filling;
  }

  async #more(turn, fresh) {
    const limit = 2 * this.depth;
    let cursor = (this.#rows.at(-1) ?? this.#at).added_position;
    let rows;
    do {
      rows = await this.find({ cursor, limit, fresh });
      if (turn !== this.#turn) return;
      if (this.#take(rows)) break;
      cursor = rows.at(-1)?.added_position;
    } while (rows.length === limit);
    if (rows.length === limit) return;
    this.#ended = true;
    if (!this.round) return;
    rows = await this.find({ limit, fresh });
    if (turn === this.#turn) this.#take(rows.filter((row) => row.added_position < this.#at.added_position));
  }

  // Returns how many of them come next.
  #take(rows) {
    const known = new Set(this.#rows.map((row) => row.image_id));
    const more = rows.filter((row) => !known.has(row.image_id) && !this.#isOver(row));
    this.#rows.push(...more);
    for (const row of this.#rows.slice(0, 2 * this.depth)) this.pictures.of(row);
    return more.length;
  }
}
