// An item in words, after the epoch whose arrays are given.
import { percent as share } from "../numbers.js";
import * as messages from "./messages.js";

export function truthOf(recording, item) {
  const label = recording.labels[recording.truth[item]];
  if (!recording.positive) return label;
  return recording.positive[item] ? label : messages.not(label);
}

export function predictionOf(recording, item, { predicted }) {
  if (recording.positive) {
    const label = recording.labels[recording.truth[item]];
    return predicted[item] ? label : messages.not(label);
  }
  return predicted[item] < 0 ? messages.NOTHING : recording.labels[predicted[item]];
}

export function digits(value, count = 3) {
  return value.toFixed(count);
}

export const percent = (value) => share(value, 1);

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// A small picture of an item, its true box drawn in.
export function shot(recording, item, text) {
  const id = recording.imageIds[recording.images[item]];
  const picture = element("img", { src: recording.pictureOf(id), alt: text, loading: "lazy", decoding: "async" });
  const box = recording.boxes?.[item];
  return framed(picture, "shot", ...(box ? [overlay([{ box, kind: "true" }])] : []));
}

// A picture in its frame, enlarged pixel by pixel if it is tiny.
export function framed(picture, className, ...over) {
  picture.dataset.shot = "";
  const frame = element("span", { className }, picture, ...over);
  picture.addEventListener("load", () => frame.classList.toggle("tiny", picture.naturalWidth <= 64 && picture.naturalHeight <= 64));
  return frame;
}

// Boxes over a picture: {box: [x, y, width, height] as shares, kind, title}.
export function overlay(boxes) {
  const svg = drawn("svg", { viewBox: "0 0 1000 1000", preserveAspectRatio: "none", class: "overlay", "aria-hidden": "true" });
  for (const { box, kind, title } of boxes) {
    const group = drawn("g", { class: kind });
    if (title) group.append(Object.assign(drawn("title"), { textContent: title }));
    const [x, y, width, height] = box.map((share) => 1000 * share);
    for (const line of ["halo", "edge"]) group.append(drawn("rect", { class: line, x, y, width, height }));
    svg.append(group);
  }
  return svg;
}

export function drawn(name, attributes = {}) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
