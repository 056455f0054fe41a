// An item's probability and confidence over the epochs, as a small drawing.
import * as messages from "./messages.js";
import { drawn } from "./words.js";

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP] = [320, 130, 28, 18, 8];

export function curveOf(epochs, shown) {
  const last = Math.max(epochs.length - 1, 1);
  const x = (at) => LEFT + (at / last) * (WIDTH - LEFT - 8);
  const y = (share) => TOP + (1 - share) * (HEIGHT - TOP - BOTTOM);
  const svg = drawn("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": messages.curve(epochs.map(pointOf)) });
  for (const share of [0, 0.5, 1]) {
    svg.append(drawn("line", { class: "grid", x1: LEFT, x2: WIDTH - 8, y1: y(share), y2: y(share) }), text(share, 0, y(share) + 4));
  }
  svg.append(text(epochs[0].epoch, LEFT, HEIGHT - 3), ...(epochs.length > 1 ? [text(epochs.at(-1).epoch, WIDTH - 8, HEIGHT - 3, "end")] : []));
  const now = epochs.findIndex(({ epoch }) => epoch === shown);
  if (now >= 0) svg.append(drawn("line", { class: "now", x1: x(now), x2: x(now), y1: TOP, y2: HEIGHT - BOTTOM }));
  for (const [name, measure] of [["dashed", "confidence"], ["solid", "probability"]]) {
    const points = epochs.map((epoch, at) => `${x(at).toFixed(1)},${y(epoch[measure]).toFixed(1)}`).join(" ");
    svg.append(drawn("polyline", { class: name, points }));
  }
  epochs.forEach((epoch, at) => {
    const dot = drawn("circle", { class: epoch.correct ? "right" : "wrong", cx: x(at), cy: y(epoch.probability), r: epochs.length > 60 ? 1.5 : 3 });
    dot.append(Object.assign(drawn("title"), { textContent: pointOf(epoch) }));
    svg.append(dot);
  });
  return svg;
}

function pointOf({ epoch, probability, correct }) {
  return messages.pointOf(epoch, probability, correct);
}

function text(content, x, y, anchor = "start") {
  return Object.assign(drawn("text", { x, y, "text-anchor": anchor }), { textContent: content });
}
