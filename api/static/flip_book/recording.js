// What a version recorded: its items, and what each measured after each epoch, in typed arrays.
import { call } from "../api.js";

const MEASURED = ["confidence", "variability", "correctness", "probability", "margin", "loss", "aum"];
const COUNTED = ["predicted", "correct", "forgotten", "region"];

// Epochs are held as far as they come to so many values: 100 epochs of 5,000 items.
const HELD = 5_500_000;
const LEAST_HELD = 6;

export class Recording {
  #arrays = new Map();
  #coming = new Map();
  #around = 0;
  #isFetching = false;

  // `asOf` is a past position, or null.
  constructor(api, asOf) {
    this.api = api;
    this.asOf = asOf;
    this.epochs = [];
  }

  async open() {
    const [points] = await Promise.all([this.get("/points"), this.#list()]);
    this.labels = points.concepts.map(({ label }) => label);
    this.concepts = points.concepts.map((concept) => concept.concept_id);
    this.keys = points.items;
    this.count = points.items.length;
    this.images = points.images;
    this.imageIds = points.image_ids;
    this.splits = Uint8Array.from(points.splits);
    this.truth = Int32Array.from(points.truth);
    this.positive = points.positive && Uint8Array.from(points.positive);
    this.boxes = points.boxes;
    this.places = new Map(this.keys.map((key, place) => [key, place]));
  }

  // The address of a small picture of an image, or of a crop, whose key has a colon.
  pictureOf(key) {
    return key.includes(":") ? `${this.api.replace(/\/flip-book$/, "")}/items/${key}/thumbnail` : `/api/v1/images/${key}/thumbnail`;
  }

  // The numbers of the epochs, all or those that are new, in order; whether any is new.
  add(numbers) {
    const known = new Set(this.epochs);
    const fresh = numbers.filter((number) => !known.has(number));
    this.epochs = [...this.epochs, ...fresh].sort((one, other) => one - other);
    return fresh.length > 0;
  }

  // What the items measured after the epoch at this index, if it is held.
  at(index) {
    return this.#arrays.get(this.epochs[index]);
  }

  async load(index) {
    const number = this.epochs[index];
    if (this.#arrays.has(number)) return this.#arrays.get(number);
    if (!this.#coming.has(number)) {
      const coming = this.get(`/epochs/${number}/points`).then((answer) => this.#hold(number, answer));
      this.#coming.set(number, coming.finally(() => this.#coming.delete(number)));
    }
    return this.#coming.get(number);
  }

  // Fetches what lies around an epoch, the nearest first, as far as there is room.
  async prefetch(index) {
    this.#around = index;
    if (this.#isFetching) return;
    this.#isFetching = true;
    try {
      for (let next = this.#missing(); next !== undefined; next = this.#missing()) await this.load(next);
    } catch {
      // It is asked for again, and its problem is shown, when the reader gets there.
    } finally {
      this.#isFetching = false;
    }
  }

  get(path, query = {}) {
    const at = this.asOf === null ? {} : { as_of: this.asOf };
    const parameters = new URLSearchParams({ ...query, ...at }).toString();
    return call("GET", `${this.api}${path}${parameters && `?${parameters}`}`);
  }

  async #list() {
    let cursor = {};
    do {
      const { items, next } = await this.get("/epochs", { limit: 500, ...cursor });
      this.add(items.map(({ epoch }) => epoch));
      cursor = next && { cursor: next };
    } while (cursor);
  }

  get #room() {
    return Math.max(LEAST_HELD, Math.floor(HELD / ((MEASURED.length + COUNTED.length) * this.count)));
  }

  #missing() {
    const order = this.epochs.map((_, index) => index);
    order.sort((one, other) => Math.abs(one - this.#around) - Math.abs(other - this.#around));
    return order.slice(0, this.#room).find((index) => !this.#arrays.has(this.epochs[index]));
  }

  #hold(number, answer) {
    const arrays = { epoch: number, outcome: answer.outcome };
    for (const name of MEASURED) arrays[name] = Float32Array.from(answer[name]);
    for (const name of COUNTED) arrays[name] = Int32Array.from(answer[name]);
    this.#arrays.set(number, arrays);
    if (this.#arrays.size > this.#room) {
      const away = (held) => Math.abs(this.epochs.indexOf(held) - this.#around);
      const [farthest] = [...this.#arrays.keys()].sort((one, other) => away(other) - away(one));
      if (farthest !== number) this.#arrays.delete(farthest);
    }
    return arrays;
  }
}
