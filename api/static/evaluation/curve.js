// The precision-recall curve of one concept, with the place of its threshold.
import { call, Problem } from "../api.js";
import { colour } from "../lines_chart.js";
import * as messages from "./messages.js";

export function drawCurve(figure, api, split, thresholdOf) {
  const plot = figure.querySelector(".plot");
  const chosen = figure.querySelector("select");
  const told = figure.querySelector("[data-latest]");
  let points = null;

  async function load() {
    try {
      const found = await call("GET", `${api}/curves?${new URLSearchParams({ split, concept: chosen.value })}`);
      if (found.concept_id !== chosen.value) return;
      points = found.curve;
      const ap = found.average_precision;
      told.textContent = points ? (ap === null ? "" : messages.averagePrecision(ap)) : messages.NO_CURVE;
      draw();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      told.textContent = problem.message;
    }
  }

  function draw() {
    Plotly.react(plot, traces(), layout(), { displayModeBar: false, responsive: true });
    figure.dataset.points = points ? points.recall.length : 0;
  }

  function traces() {
    if (!points) return [];
    const { recall, precision, thresholds } = points;
    const text = [...thresholds.map(messages.threshold), messages.ABOVE_ALL];
    const at = index();
    return [
      { x: recall, y: precision, text, mode: "lines", name: "curve", line: { color: colour("--accent"), width: 2 }, hovertemplate: messages.POINT },
      { x: [recall[at]], y: [precision[at]], mode: "markers", name: "threshold", marker: { color: colour("--ink"), size: 9, symbol: "diamond" }, hoverinfo: "skip" },
    ];
  }

  // The first point at the threshold or above it.
  function index() {
    const found = points.thresholds.findIndex((one) => one >= thresholdOf(chosen.value));
    return found < 0 ? points.recall.length - 1 : found;
  }

  function layout() {
    const [ink, line] = [colour("--quiet"), colour("--line")];
    const axis = { gridcolor: line, linecolor: line, zeroline: false, automargin: true, range: [0, 1.02] };
    return {
      height: 300,
      margin: { l: 44, r: 12, t: 10, b: 34 },
      paper_bgcolor: "transparent",
      plot_bgcolor: "transparent",
      font: { family: getComputedStyle(document.body).fontFamily, size: 11, color: ink },
      xaxis: { ...axis, title: { text: messages.RECALL, standoff: 4 } },
      yaxis: { ...axis, title: { text: messages.PRECISION, standoff: 4 } },
      showlegend: false,
      hoverlabel: { bgcolor: colour("--paper"), bordercolor: line, font: { color: colour("--ink") } },
    };
  }

  chosen.addEventListener("change", load);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  load();
  return { move: () => points && draw() };
}
