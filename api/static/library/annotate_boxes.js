// Boxes over the picture: a drag draws one, a click selects, the selected one moves and resizes.
import { between, boxOf, moved, resized } from "./annotate_geometry.js";
import { numbered, REMOVED, REMOVED_CONCEPT, suggested } from "./messages.js";

const SVG = "http://www.w3.org/2000/svg";
const A_CLICK = 4;
const HANDLE = 10;
const HANDLES = { nw: [0, 0], n: [0.5, 0], ne: [1, 0], e: [1, 0.5], se: [1, 1], s: [0.5, 1], sw: [0, 1], w: [0, 0.5] };
const HUES = 6;
const STEP = 0.01;

export class Boxes {
  items = [];
  suggested = [];
  selected = -1;
  byHand = false;
  #drag;

  // `changed(items)` is told of every finished change, `drawn()` gives the concept of a new box.
  constructor(frame, list, { labels, drawn, changed, selected }) {
    Object.assign(this, { frame, list, labels, drawn, changed, tellSelected: selected });
    this.hues = new Map(Object.keys(labels).map((id, at) => [id, at % HUES]));
    this.svg = document.createElementNS(SVG, "svg");
    this.svg.setAttribute("aria-hidden", "true");
    this.names = Object.assign(document.createElement("div"), { className: "box-names" });
    frame.append(this.svg, this.names);
    this.svg.addEventListener("pointerdown", (event) => this.#press(event));
    this.svg.addEventListener("pointermove", (event) => this.#move(event));
    this.svg.addEventListener("pointerup", () => this.#release());
    this.svg.addEventListener("pointercancel", () => this.#forget());
    new ResizeObserver(() => this.draw()).observe(frame);
  }

  // Show the boxes of one concept only; of all without one.
  showOnly(concept) {
    this.only = concept;
    this.draw();
  }

  // Suggested boxes lie below the others and are dashed; none of them can be touched.
  suggest(items) {
    this.suggested = items;
    this.draw();
  }

  show(items) {
    this.#drag = undefined;
    this.items = items;
    this.select(-1);
  }

  // A box that was just drawn is selected, but not by hand: the next key is for the next box.
  select(index, byHand = true) {
    this.selected = index;
    this.byHand = byHand;
    this.draw();
    this.tellSelected(byHand ? this.items[index] : undefined);
  }

  // The selection after the one there is, or before it.
  step(by) {
    const count = this.items.length;
    if (!count) return;
    const none = by > 0 ? 0 : count - 1;
    this.select(this.selected < 0 ? none : (this.selected + by + count) % count);
  }

  add(box = boxOf(0.4, 0.4, 0.6, 0.6), byHand = true) {
    const concept = this.drawn();
    this.#change([...this.items, { concept_id: concept, box }], this.items.length, byHand);
  }

  delete() {
    if (this.selected < 0) return;
    this.#change(this.items.filter((_, at) => at !== this.selected), -1);
  }

  rename(concept) {
    if (this.selected < 0 || !this.byHand) return false;
    this.#replace({ ...this.items[this.selected], concept_id: concept });
    return true;
  }

  // Arrow keys: one step, or a tenth of it; they move the box or its right and lower side.
  nudge(key, { size, fine }) {
    const step = fine ? STEP / 10 : STEP;
    const right = { ArrowLeft: -step, ArrowRight: step }[key] ?? 0;
    const down = { ArrowUp: -step, ArrowDown: step }[key] ?? 0;
    const item = this.items[this.selected];
    const box = size ? resized(item.box, "se", right, down) : moved(item.box, right, down);
    this.#replace({ ...item, box });
  }

  get canNudge() {
    return this.selected >= 0 && !this.#drag;
  }

  #replace(item) {
    this.#change(this.items.map((one, at) => (at === this.selected ? item : one)), this.selected);
  }

  #change(items, selected, byHand = this.byHand) {
    this.items = items;
    this.changed(items);
    this.select(selected, byHand);
  }

  #press(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    this.svg.setPointerCapture(event.pointerId);
    const { handle, index } = event.target.dataset;
    const hit = index === undefined ? -1 : Number(index);
    const onSelected = hit >= 0 && hit === this.selected;
    const way = handle ? "resize" : onSelected && !event.shiftKey ? "move" : "draw";
    const box = this.items[this.selected]?.box;
    this.#drag = { way, handle, hit, box, from: this.#place(event), start: event, far: false };
  }

  #move(event) {
    const drag = this.#drag;
    if (!drag) return;
    const { clientX, clientY } = drag.start;
    drag.far ||= Math.hypot(event.clientX - clientX, event.clientY - clientY) >= A_CLICK;
    if (!drag.far) return;
    const to = this.#place(event);
    const [right, down] = [to.x - drag.from.x, to.y - drag.from.y];
    if (drag.way === "draw") drag.now = between(drag.from, to);
    if (drag.way === "move") drag.now = moved(drag.box, right, down);
    if (drag.way === "resize") drag.now = resized(drag.box, drag.handle, right, down);
    this.draw();
  }

  #release() {
    const drag = this.#drag;
    this.#drag = undefined;
    if (!drag) return;
    if (!drag.far) this.select(drag.handle ? this.selected : drag.hit);
    else if (drag.way === "draw") this.add(drag.now, false);
    else this.#replace({ ...this.items[this.selected], box: drag.now });
  }

  #forget() {
    this.#drag = undefined;
    this.draw();
  }

  #place({ clientX, clientY }) {
    const { left, top, width, height } = this.svg.getBoundingClientRect();
    return { x: (clientX - left) / width, y: (clientY - top) / height };
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.frame;
    const drag = this.#drag?.now && this.#drag;
    const shown = this.items.map((item, at) =>
      drag && drag.way !== "draw" && at === this.selected ? { ...item, box: drag.now } : item);
    // Small ones lie on top, so that they can be reached; the selected one above all.
    const area = ({ box }) => box.width * box.height;
    const visible = [...shown.keys()].filter((at) => !this.only || at === this.selected || shown[at].concept_id === this.only);
    const order = visible.sort((a, b) =>
      (a === this.selected) - (b === this.selected) || area(shown[b]) - area(shown[a]));
    const drawn = this.suggested.flatMap((item) => this.#dashed(item, width, height));
    drawn.push(...order.flatMap((at) => this.#rects(shown[at], at, width, height)));
    if (drag?.way === "draw") drawn.push(...this.#rects({ concept_id: this.drawn(), box: drag.now }, undefined, width, height));
    if (this.selected >= 0) drawn.push(...this.#handles(shown[this.selected].box, width, height));
    this.svg.replaceChildren(...drawn);
    const proposed = this.suggested.map((item) => this.#label(item, suggested(this.labels[item.concept_id] ?? REMOVED, item.score), width, height));
    this.names.replaceChildren(...order.map((at) => this.#name(shown[at], at, width, height)), ...proposed);
    this.#listAll(shown);
  }

  #rects({ concept_id: concept, box }, index, width, height) {
    const hue = this.hues.get(concept) ?? 0;
    const state = index !== undefined && index === this.selected ? " selected" : "";
    return ["halo", `line hue-${hue}${state}`].map((kind) => rect(kind, {
      x: box.x * width, y: box.y * height, width: box.width * width, height: box.height * height,
    }, { index }));
  }

  #handles(box, width, height) {
    return Object.entries(HANDLES).map(([handle, [right, down]]) => rect(`handle ${handle}`, {
      x: (box.x + right * box.width) * width - HANDLE / 2,
      y: (box.y + down * box.height) * height - HANDLE / 2,
      width: HANDLE, height: HANDLE,
    }, { handle }));
  }

  #dashed({ concept_id: concept, box }, width, height) {
    return [rect(`line suggested hue-${this.hues.get(concept) ?? 0}`, {
      x: box.x * width, y: box.y * height, width: box.width * width, height: box.height * height,
    }, {})];
  }

  #name(item, at, width, height) {
    return this.#label(item, numbered(at + 1, this.labels[item.concept_id] ?? REMOVED), width, height);
  }

  #label({ box }, text, width, height) {
    const name = Object.assign(document.createElement("span"), { textContent: text });
    name.style.left = `${box.x * width}px`;
    name.style.top = `${box.y * height}px`;
    return name;
  }

  #listAll(shown) {
    const label = ({ concept_id: concept }) => this.labels[concept] ?? REMOVED_CONCEPT;
    const told = shown.map((item, at) => `${label(item)}${at === this.selected ? " *" : ""}`).join("\n");
    if (this.list.dataset.told === told) return;
    this.list.dataset.told = told;
    // Not one that was clicked: it would take the next Enter for itself.
    const focused = [...this.list.children].findIndex((line) => line.querySelector(":focus-visible"));
    this.list.replaceChildren(...shown.map((item, at) => {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: label(item) });
      button.ariaPressed = String(at === this.selected);
      button.addEventListener("click", () => this.select(at === this.selected ? -1 : at));
      const line = document.createElement("li");
      line.append(button);
      return line;
    }));
    this.list.children[focused]?.firstChild.focus();
  }
}

function rect(kind, sides, data) {
  const made = document.createElementNS(SVG, "rect");
  made.setAttribute("class", kind);
  for (const [name, value] of Object.entries(sides)) made.setAttribute(name, value);
  for (const [name, value] of Object.entries(data)) if (value !== undefined) made.dataset[name] = value;
  return made;
}
