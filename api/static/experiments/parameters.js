// Parallel coordinates: an axis for each option that differs and one for the value, a line a trial.
// Plotly's own draw with WebGL, for which the content security policy would have to allow eval.
import { colour } from "../lines_chart.js";
import { percent } from "../numbers.js";
import { bestLast, styleOf } from "./lines.js";
import * as messages from "./messages.js";

const FIRST = ["architecture", "optimizer", "rate_multiplier", "weight_decay", "image_size", "balancing"];

export function parametersChart({ experiment: { best, objective, trainer }, trials, labels }) {
  const measured = bestLast(trials.filter(({ value }) => value !== null), best);
  const parameters = measured.map((trial) => trial.parameters);
  const keys = Object.keys(parameters[0] ?? {})
    .filter((key) => new Set(parameters.map((one) => one[key])).size > 1)
    .sort((one, other) => placeOf(one) - placeOf(other));
  const axes = keys.map((key) => {
    const values = parameters.map((one) => one[key]);
    const searched = trainer?.varied[key];
    return searched && !Array.isArray(searched) ? ranged(values, labels[key] ?? key, searched) : axisOf(values, key, labels);
  });
  axes.push(numbers(measured.map(({ value }) => value), labels[objective], (value) => percent(value, 1)));
  const traces = measured.map((trial, row) => {
    const { color, width, opacity } = styleOf(trial, best);
    return {
      x: axes.map((_, place) => place),
      y: axes.map(({ places }) => places[row]),
      mode: "lines+markers",
      marker: { size: 4 },
      line: { color, width },
      opacity,
      text: axes.map(({ name, texts }) => `${name} ${texts[row]}`),
      hovertemplate: messages.ofOptions(trial.number, trial.status),
    };
  });
  return { traces, points: keys.length ? measured.length : 0, layout: layoutOf(axes) };
}

function placeOf(key) {
  return FIRST.includes(key) ? FIRST.indexOf(key) : FIRST.length;
}

function layoutOf(axes) {
  const line = { color: colour("--edge"), width: 1 };
  const label = { showarrow: false, xanchor: "left", xshift: 3, font: { size: 10 }, bgcolor: colour("--paper") };
  return {
    xaxis: {
      tickvals: axes.map((_, place) => place),
      ticktext: axes.map(({ name }) => name),
      range: [-0.4, axes.length - 0.4],
      showgrid: false,
      tickangle: axes.length > 4 ? -30 : 0,
    },
    yaxis: { visible: false, range: [-0.08, 1.08] },
    shapes: axes.map((_, x) => ({ type: "line", x0: x, x1: x, y0: 0, y1: 1, layer: "below", line })),
    annotations: axes.flatMap(({ ticks }, x) => ticks.map(([y, text]) => ({ ...label, x, y, text }))),
  };
}

// A trainer's setting that was searched in a range of numbers.
function ranged(values, name, { log }) {
  return numbers(values, name, (value) => String(Number(value.toPrecision(3))), log ? Math.log10 : undefined);
}

function axisOf(values, key, labels) {
  const name = labels[key] ?? key;
  if (key === "rate_multiplier") return numbers(values, name, (value) => String(Number(value.toPrecision(2))), Math.log10);
  const kinds = [...new Set(values)].sort(inOrder);
  const textOf = (value) => (typeof value === "boolean" ? (value ? messages.ON : messages.OFF) : (labels[value] ?? String(value)));
  const place = (value) => kinds.indexOf(value) / Math.max(kinds.length - 1, 1);
  return { name, places: values.map(place), texts: values.map(textOf), ticks: kinds.map((value) => [place(value), textOf(value)]) };
}

function inOrder(one, other) {
  return typeof one === "string" ? one.localeCompare(other) : one - other;
}

// From the lowest to the highest value, both of which are written at the axis.
function numbers(values, name, textOf, scale = (value) => value) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const place = (value) => (high > low ? (scale(value) - scale(low)) / (scale(high) - scale(low)) : 0.5);
  const ticks = [...new Set([low, high])].map((value) => [place(value), textOf(value)]);
  return { name, places: values.map(place), texts: values.map(textOf), ticks };
}
