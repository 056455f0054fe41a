// The charts of an experiment, drawn anew from its trials and curves.
import { colour } from "../lines_chart.js";
import { bestLast, COMPLETED, PRUNED, styleOf } from "./lines.js";
import * as messages from "./messages.js";
import { parametersChart } from "./parameters.js";

const CONFIG = { displayModeBar: false, responsive: true };

let last = null;

export function drawCharts(state) {
  last = state;
  draw("curves", curvesChart(state));
  draw("history", historyChart(state));
  draw("parameters", parametersChart(state));
  draw("importances", importancesChart(state));
}

// In the colours that the page has now.
export function redraw() {
  if (last) drawCharts(last);
}

export function draw(name, { traces, layout = {}, points }) {
  const figure = document.querySelector(`[data-chart="${name}"]`);
  figure.querySelector("[data-none]").hidden = points > 0;
  figure.querySelector(".plot").hidden = points === 0;
  figure.dataset.points = points;
  if (!points) return;
  const [ink, line] = [colour("--quiet"), colour("--line")];
  const axis = { gridcolor: line, linecolor: line, zeroline: false, automargin: true };
  Plotly.react(
    figure.querySelector(".plot"),
    traces,
    {
      height: 260,
      margin: { l: 44, r: 12, t: 10, b: 34 },
      paper_bgcolor: "transparent",
      plot_bgcolor: "transparent",
      font: { family: getComputedStyle(document.body).fontFamily, size: 11, color: ink },
      showlegend: false,
      hovermode: "closest",
      hoverlabel: { bgcolor: colour("--paper"), bordercolor: line, font: { color: colour("--ink") } },
      ...layout,
      xaxis: { ...axis, ...layout.xaxis },
      yaxis: { ...axis, ...layout.yaxis },
    },
    CONFIG,
  );
}

function curvesChart({ experiment: { objective, best, epochs }, trials, curves }) {
  const measured = curves.filter(({ metric }) => metric === objective);
  const values = new Map(measured.map((curve) => [curve.number, curve.values]));
  const traces = bestLast(trials.filter(({ number }) => values.has(number)), best).map((trial) => {
    const { color, width, opacity } = styleOf(trial, best);
    const y = values.get(trial.number);
    return {
      x: y.map((_, index) => index + 1),
      y,
      mode: "lines+markers",
      marker: { size: 4 },
      line: { color, width },
      opacity,
      meta: trial.number,
      hovertemplate: messages.ofEpoch(trial.number, trial.status),
    };
  });
  const points = traces.reduce((sum, { y }) => sum + y.length, 0);
  const xaxis = { title: { text: messages.EPOCH, standoff: 4 }, rangemode: "tozero", dtick: epochs <= 12 ? 1 : undefined };
  return { traces, points, layout: { xaxis, yaxis: { tickformat: ".0%" } } };
}

function historyChart({ experiment: { best }, trials }) {
  const measured = trials.filter(({ value }) => value !== null).sort((one, other) => one.number - other.number);
  const completed = measured.filter(({ status }) => COMPLETED.includes(status));
  const pruned = measured.filter(({ status }) => status === PRUNED);
  const open = measured.filter((trial) => !completed.includes(trial) && !pruned.includes(trial));
  const line = {
    x: completed.map(({ number }) => number),
    y: [],
    mode: "lines",
    line: { shape: "hv", color: colour("--accent"), width: 1.5 },
    hoverinfo: "skip",
  };
  completed.forEach(({ value }, index) => line.y.push(Math.max(value, line.y[index - 1] ?? value)));
  const traces = [
    line,
    dots(pruned, messages.ENDINGS.pruned, "x", "--faint", best),
    dots(open, messages.ENDINGS.open, "circle-open", "--busy", best),
    dots(completed, messages.ENDINGS.completed, "circle", "--busy", best),
  ];
  const xaxis = { title: { text: messages.TRIAL, standoff: 4 }, rangemode: "tozero" };
  return { traces, points: measured.length, layout: { xaxis, yaxis: { tickformat: ".0%" } } };
}

function dots(trials, name, symbol, ink, best) {
  const isBest = ({ number }) => number === best?.number;
  return {
    x: trials.map(({ number }) => number),
    y: trials.map(({ value }) => value),
    mode: "markers",
    marker: {
      symbol,
      size: trials.map((trial) => (isBest(trial) ? 12 : 7)),
      color: trials.map((trial) => colour(isBest(trial) ? "--accent" : ink)),
    },
    text: trials.map(({ sampler }) => messages.CHOSEN_BY[sampler] ?? sampler),
    hovertemplate: messages.ofTrial(name),
  };
}

function importancesChart({ experiment: { conclusion }, labels }) {
  const shares = Object.entries(conclusion?.importances ?? {}).sort(([, one], [, other]) => one - other);
  const trace = {
    type: "bar",
    orientation: "h",
    x: shares.map(([, share]) => share),
    y: shares.map(([key]) => labels[key] ?? key),
    marker: { color: colour("--accent") },
    hovertemplate: messages.ofImportance,
  };
  return { traces: [trace], points: shares.length, layout: { xaxis: { tickformat: ".0%", rangemode: "tozero" } } };
}
