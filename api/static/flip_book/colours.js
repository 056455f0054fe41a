// The colours of points by correctness, concept, split or outcome, with their legend.
import { colour } from "../lines_chart.js";
import * as messages from "./messages.js";

const STEPS = 11;
const OUTCOMES = ["found", "shifted", "swapped", "missed"];
const dark = matchMedia("(prefers-color-scheme: dark)");

// The palette with its labels, and a function from a point and the epoch's arrays to an index.
export function schemeOf(name, recording) {
  if (name === "concept") {
    const labels = recording.labels;
    return { palette: labels.map((_, at) => hue(at, labels.length)), labels, of: (point) => recording.truth[point] };
  }
  if (name === "split") {
    return { palette: [colour("--busy"), colour("--warn")], labels: messages.SPLITS, of: (point) => recording.splits[point] };
  }
  if (name === "outcome") {
    const palette = ["--good", "--warn", "--busy", "--bad"].map(colour);
    return { palette, labels: OUTCOMES, of: (point, { outcome }) => Math.max(OUTCOMES.indexOf(outcome?.[point]), 0) };
  }
  const palette = Array.from({ length: STEPS }, (_, at) => between(at / (STEPS - 1)));
  const labels = palette.map((_, at) => (at === 0 ? messages.NEVER_CORRECT : at === STEPS - 1 ? messages.ALWAYS_CORRECT : ""));
  return { palette, labels, of: (point, { correctness }) => Math.round(correctness[point] * (STEPS - 1)) };
}

export function showLegend(place, { palette, labels }) {
  place.replaceChildren(
    ...palette.map((shade, at) => {
      const entry = document.createElement("span");
      const swatch = Object.assign(document.createElement("i"), { className: "swatch" });
      swatch.style.background = shade;
      entry.append(swatch, labels[at]);
      return entry;
    }),
  );
}

// From red by amber to blue: apart for those, too, who do not tell red from green.
function between(share) {
  const [low, middle, high] = ["--bad", "--warn", "--busy"].map((name) => channels(colour(name)));
  const [from, to, part] = share < 0.5 ? [low, middle, 2 * share] : [middle, high, 2 * share - 1];
  return `rgb(${from.map((value, at) => Math.round(value + (to[at] - value) * part)).join(" ")})`;
}

function channels(hex) {
  return [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
}

function hue(at, count) {
  const lightness = (dark.matches ? 62 : 40) + (count > 8 && at % 2 ? 14 : 0);
  return `hsl(${Math.round((360 * at) / count)} 65% ${lightness}%)`;
}
