// The curves of the trials that are compared, each in a colour and a dash of its own.
import { colour } from "../lines_chart.js";
import { draw } from "./charts.js";
import * as messages from "./messages.js";

const INKS = ["--accent", "--busy", "--bad", "--warn"];
const DASHES = ["solid", "dot"];

const figure = document.querySelector('[data-chart="compared"]');
const curves = JSON.parse(figure.dataset.curves);
const { percent } = figure.dataset;

function show() {
  const traces = curves.map(({ number, values }, place) => ({
    x: values.map((_, index) => index + 1),
    y: values,
    mode: "lines+markers",
    marker: { size: 5 },
    line: {
      color: colour(INKS[place % INKS.length]),
      width: 2,
      dash: DASHES[Math.floor(place / INKS.length)],
    },
    name: messages.trial(number),
    meta: number,
    hovertemplate: messages.ofEpoch(number, "", percent ? ".1%" : ".4g"),
  }));
  const points = traces.reduce((sum, { y }) => sum + y.length, 0);
  const longest = Math.max(0, ...curves.map(({ values }) => values.length));
  const xaxis = { title: { text: "epoch", standoff: 4 }, rangemode: "tozero", dtick: longest <= 12 ? 1 : undefined };
  const yaxis = { tickformat: percent ? ".0%" : undefined };
  const legend = { orientation: "h", y: 1.02, yanchor: "bottom" };
  const margin = { l: 44, r: 12, t: 44, b: 34 };
  draw("compared", { traces, points, layout: { xaxis, yaxis, showlegend: true, legend, margin } });
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
show();
