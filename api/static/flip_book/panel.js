// The opened item: picture and figures at the epoch that is shown, curve, history, neighbours.
import { call, Problem } from "../api.js";
import { timeElement } from "../times.js";
import { curveOf } from "./curve.js";
import * as messages from "./messages.js";
import { digits, element, framed, overlay, percent, predictionOf, shot, truthOf } from "./words.js";

const LINES = 20;

export class Panel {
  #known = new Map();

  // `on` has open(item), address(values), close() and nearest(item).
  constructor(place, recording, work, on) {
    this.place = place;
    this.recording = recording;
    this.work = work;
    this.on = on;
    this.item = -1;
    this.one = (name) => place.querySelector(`[data-${name}]`);
    this.one("close").addEventListener("click", () => on.close());
    this.one("annotation").addEventListener("click", ({ currentTarget: link }) => {
      const url = new URL(link.href);
      url.searchParams.set("back", location.pathname + location.search);
      link.href = url;
    });
    place.addEventListener("click", (event) => {
      const link = event.target.closest("a[data-item]");
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      on.open(recording.places.get(link.dataset.item));
    });
  }

  // New epochs are there: what is known of items ends before them.
  forget() {
    this.#known.clear();
    if (this.item < 0) return;
    // What is shown stays if it cannot be had now.
    this.#details(this.item).catch(() => undefined);
  }

  close() {
    this.item = -1;
    this.place.hidden = true;
    document.querySelector("[data-no-item]").hidden = false;
  }

  async open(item, arrays, { focus = false } = {}) {
    const { recording, work } = this;
    this.item = item;
    const key = recording.keys[item];
    const id = recording.imageIds[recording.images[item]];
    const image = id.split(":")[0];
    this.place.dataset.item = key;
    this.one("name").textContent = "";
    this.one("annotation").href = `/views/${work.view_id}/annotate?image=${image}`;
    this.one("image-page").href = `/images/${image}`;
    for (const name of ["drawn", "list", "history-lines"]) this.one(name).replaceChildren();
    this.one("siblings").hidden = true;
    const picture = element("img", { src: `${recording.pictureOf(id)}?size=2048`, alt: "" });
    this.picture = framed(picture, "shot large");
    this.one("picture").replaceChildren(this.picture);
    this.place.hidden = false;
    document.querySelector("[data-no-item]").hidden = true;
    this.show(arrays);
    if (focus) this.one("name").focus();
    try {
      await Promise.all([this.#details(item), this.#history(item, image)]);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (this.item === item) this.one("verdict").textContent = problem.message;
    }
  }

  // What the item came to after the epoch of these arrays.
  show(arrays) {
    const { recording, item } = this;
    if (item < 0) return;
    const isCorrect = Boolean(arrays.correct[item]);
    const outcome = arrays.outcome?.[item] ?? (isCorrect ? messages.CORRECT : messages.NOT_CORRECT);
    this.one("verdict").replaceChildren(
      element("span", { className: `outcome${isCorrect ? " correct" : ""}`, textContent: outcome }),
      messages.afterEpoch(arrays.epoch), element("b", { textContent: truthOf(recording, item) }),
      messages.AND_PREDICTED, element("b", { textContent: predictionOf(recording, item, arrays) }),
    );
    const { FACTS, COLUMNS } = messages;
    const facts = [
      [FACTS.probability, percent(arrays.probability[item])],
      [FACTS.margin, digits(arrays.margin[item])],
      [FACTS.loss, digits(arrays.loss[item])],
      [FACTS.confidence, percent(arrays.confidence[item])],
      [COLUMNS.variability, digits(arrays.variability[item])],
      [COLUMNS.correctness, percent(arrays.correctness[item])],
      [COLUMNS.aum, digits(arrays.aum[item])],
      [COLUMNS.forgotten, messages.times(arrays.forgotten[item])],
      [COLUMNS.region, messages.REGIONS[arrays.region[item]]],
      [COLUMNS.split, messages.SPLITS[recording.splits[item]]],
    ];
    this.one("facts").replaceChildren(...facts.flatMap(([name, text]) => [element("dt", { textContent: name }), element("dd", { textContent: text })]));
    this.epoch = arrays.epoch;
    this.#atEpoch();
  }

  // The neighbours depend on where points lie, which they do once they rest.
  showNearest(arrays) {
    if (this.item < 0) return;
    const links = this.on.nearest(this.item).map((near) => {
      const text = messages.both(truthOf(this.recording, near), predictionOf(this.recording, near, arrays));
      return element("li", {}, this.#link(near, shot(this.recording, near, text)));
    });
    this.one("near").replaceChildren(...links);
  }

  async #details(item) {
    const key = this.recording.keys[item];
    const image = this.recording.imageIds[this.recording.images[item]];
    if (!this.#known.has(key)) {
      const asked = [this.recording.get(`/items/${encodeURIComponent(key)}`)];
      const isAlone = this.work.kind === "classification";
      const latest = this.recording.epochs.at(-1);
      if (!isAlone) asked.push(this.recording.get(`/epochs/${latest}/items`, { image, limit: 500, sort: "item" }));
      const [own, all] = await Promise.all(asked);
      this.#known.set(key, { ...own, siblings: all?.items ?? [] });
    }
    if (this.item !== item) return;
    this.one("name").textContent = this.#known.get(key).item.file_name || messages.IMAGE_GONE;
    this.#atEpoch();
  }

  // What of the fetched details depends on the epoch.
  #atEpoch() {
    const known = this.#known.get(this.recording.keys[this.item]);
    if (!known) return;
    this.one("drawn").replaceChildren(curveOf(known.epochs, this.epoch));
    const then = known.epochs.find(({ epoch }) => epoch === this.epoch);
    this.picture.querySelector("svg")?.remove();
    if (then?.boxes) this.picture.append(overlay([...this.#true(known), ...then.boxes.filter(({ outcome }) => outcome !== "discarded").map(predictedBox)]));
    this.one("siblings").hidden = known.siblings.length < 2;
    this.one("list").replaceChildren(...known.siblings.map(({ item: key }) => {
      const item = this.recording.places.get(key);
      return item === undefined ? "" : element("li", {}, this.#sibling(item, key));
    }));
  }

  #sibling(item, key) {
    const arrays = this.recording.at(this.recording.epochs.indexOf(this.epoch));
    const link = this.#link(item, truthOf(this.recording, item));
    if (item === this.item) link.setAttribute("aria-current", "true");
    const isCorrect = Boolean(arrays?.correct[item]);
    const words = arrays?.outcome?.[item] ?? (isCorrect ? messages.CORRECT : messages.NOT_CORRECT);
    link.dataset.item = key;
    return element("span", {}, link, " ", element("span", { className: `outcome${isCorrect ? " correct" : ""}`, textContent: arrays ? words : "" }));
  }

  #true({ siblings, item }) {
    return siblings.filter(({ box }) => box).map((each) => ({
      box: sides(each.box),
      kind: each.item === item.item ? "true chosen" : "true",
      title: messages.trueBox(each.label),
    }));
  }

  async #history(item, image) {
    const place = this.one("history-lines");
    const { audits, view_id: view } = this.work;
    const lines = audits ? await this.#trail(image, view) : await this.#annotation(image, view);
    if (this.item !== item) return;
    place.replaceChildren(...(lines.length ? lines : [element("li", { className: "quiet", textContent: messages.NO_HISTORY })]));
  }

  async #trail(image, view) {
    const query = new URLSearchParams({ stream: `image-${image}`, limit: 100 });
    const { items } = await call("GET", `/api/v1/audit/trail?${query}`);
    const asOf = this.recording.asOf ?? Infinity;
    return items
      .filter((line) => (line.view_id === null || line.view_id === view) && line.position <= asOf)
      .slice(0, LINES)
      .map((line) => {
        const change = line.before === null && line.after === null ? [] : [" ", element("span", { className: "change" }, element("del", { textContent: line.before || messages.NOTHING }), " → ", element("ins", { textContent: line.after || messages.NOTHING }))];
        return element("li", {}, line.what, ...change, element("span", { className: "quiet" }, messages.by(line.actor), timeElement(line.occurred_at)));
      });
  }

  // Who may not read the trail sees what the label is, and who saved it.
  async #annotation(image, view) {
    const at = this.recording.asOf === null ? {} : { as_of: this.recording.asOf };
    const { image: row } = await call("GET", `/api/v1/images/${image}?${new URLSearchParams({ view_id: view, ...at })}`);
    const labels = row.annotations.map(({ concept_id: id }) => this.recording.labels[this.recording.concepts.indexOf(id)] ?? messages.NEWER_CONCEPT);
    return [element("li", {}, labels.join(", ") || messages.NO_CONCEPT, element("span", { className: "quiet" }, messages.by(row.changed_by), timeElement(row.changed_at)))];
  }

  #link(item, ...children) {
    const key = this.recording.keys[item];
    const link = element("a", { href: this.on.address({ item: key }) }, ...children);
    link.dataset.item = key;
    return link;
  }
}

function predictedBox({ box, label, score, outcome }) {
  return { box: sides(box), kind: outcome === "found" ? "right" : "wrong", title: messages.predictedBox(label, score, outcome) };
}

function sides({ x, y, width, height }) {
  return [x, y, width, height];
}
