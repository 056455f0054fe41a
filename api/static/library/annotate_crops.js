// Crops of the picture, which are boxes of the parent view: one is selected, and labelled by a key.
import { NO_CONCEPT, numbered, REMOVED_CONCEPT } from "./messages.js";

const SVG = "http://www.w3.org/2000/svg";
const HUES = 6;

export const isSame = (one, other) => ["x", "y", "width", "height"].every((side) => one[side] === other[side]);

export class Crops {
  crops = [];
  said = [];
  selected = 0;

  // `selected()` is told of a selection.
  constructor(frame, list, { labels, selected }) {
    Object.assign(this, { frame, list, labels, tellSelected: selected });
    this.hues = new Map(Object.keys(labels).map((id, at) => [id, at % HUES]));
    this.svg = document.createElementNS(SVG, "svg");
    this.svg.setAttribute("aria-hidden", "true");
    this.names = Object.assign(document.createElement("div"), { className: "box-names" });
    frame.append(this.svg, this.names);
    this.svg.addEventListener("click", (event) => {
      const { index } = event.target.dataset;
      if (index !== undefined) this.select(Number(index));
    });
    new ResizeObserver(() => this.draw()).observe(frame);
  }

  // An image's crops, and what is said of them. Another image begins at the first without a concept.
  show(crops, said) {
    const isOther = crops !== this.crops;
    Object.assign(this, { crops, said });
    if (isOther) this.selected = Math.max(this.#nextWithout(0), 0);
    this.draw();
  }

  get box() {
    return this.crops[this.selected];
  }

  labelsOf(box) {
    return this.said.filter((annotation) => isSame(annotation.box, box)).map((annotation) => annotation.concept_id);
  }

  select(index) {
    this.selected = index;
    this.draw();
    this.tellSelected();
  }

  step(by) {
    const count = this.crops.length;
    if (count) this.select((this.selected + by + count) % count);
  }

  // Select the next crop without a concept; returns whether there is one.
  toNextWithout() {
    const next = this.#nextWithout(this.selected);
    if (next >= 0) this.select(next);
    return next >= 0;
  }

  #nextWithout(from) {
    const order = [...this.crops.keys()].map((at) => (at + from) % this.crops.length);
    return order.find((at) => !this.labelsOf(this.crops[at]).length) ?? -1;
  }

  #text(at) {
    const labels = this.labelsOf(this.crops[at]).map((id) => this.labels[id] ?? REMOVED_CONCEPT);
    return labels.join(", ") || NO_CONCEPT;
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.frame;
    const area = (at) => this.crops[at].width * this.crops[at].height;
    const order = [...this.crops.keys()].sort((a, b) => (a === this.selected) - (b === this.selected) || area(b) - area(a));
    this.svg.replaceChildren(...order.flatMap((at) => this.#rects(at, width, height)));
    this.names.replaceChildren(...this.crops.map((box, at) => {
      const name = Object.assign(document.createElement("span"), { textContent: numbered(at + 1, this.#text(at)) });
      name.style.left = `${box.x * width}px`;
      name.style.top = `${box.y * height}px`;
      return name;
    }));
    this.list.replaceChildren(...this.crops.map((_, at) => {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: this.#text(at) });
      button.ariaPressed = String(at === this.selected);
      button.addEventListener("click", () => this.select(at));
      const line = document.createElement("li");
      line.append(button);
      return line;
    }));
  }

  #rects(at, width, height) {
    const box = this.crops[at];
    const hue = this.hues.get(this.labelsOf(box)[0]) ?? 0;
    return ["halo", `line hue-${hue}${at === this.selected ? " selected" : ""}`].map((kind) => {
      const made = document.createElementNS(SVG, "rect");
      made.setAttribute("class", kind);
      const sides = { x: box.x * width, y: box.y * height, width: box.width * width, height: box.height * height };
      for (const [name, value] of Object.entries(sides)) made.setAttribute(name, value);
      made.dataset.index = at;
      return made;
    });
  }
}
