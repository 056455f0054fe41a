// The charts of a version's metrics. Each grows as values come; nothing is drawn again for that.
import { Chart } from "./chart.js";
import * as messages from "./messages.js";
import { KEPT_BY_SERVER, smoother } from "./smooth.js";

const REPORTED = "reported.";
const smoothing = document.querySelector("[data-smoothing]");
const logarithmic = document.querySelector("[data-log]");

export function startCharts() {
  const charts = new Map();
  for (const figure of document.querySelectorAll("[data-metric][data-axis]")) {
    charts.set(figure.dataset.metric, new Chart(figure));
  }
  let smooth = smoother(Number(smoothing.value));
  const batch = { iterations: [], losses: [], smoothed: [] };
  const validation = { iterations: [], epochs: [], losses: [] };

  function extend({ metric, iterations, values, total, smoothed: given }, iterationsPerEpoch) {
    const chart = charts.get(metric) ?? added(metric);
    if (!chart) return;
    const epochs = iterations.map((iteration) => iteration / iterationsPerEpoch);
    chart.extend(0, chart.axis === "epoch" ? epochs : iterations, values);
    if (metric === "batch_loss") {
      // Of a sample the server has averaged all values that it leaves out.
      const kept = Number(smoothing.value);
      const averaged = kept === KEPT_BY_SERVER && given;
      const smoothed = averaged || values.map(smooth);
      if (averaged) smooth = smoother(kept, total, given.at(-1));
      batch.iterations.push(...iterations);
      batch.losses.push(...values);
      batch.smoothed.push(...smoothed);
      chart.extend(1, iterations, smoothed);
    }
    if (metric === "validation_loss") {
      validation.iterations.push(...iterations);
      validation.epochs.push(...epochs);
      validation.losses.push(...values);
      // The training loss at the same moments: the gap between both is the over-fitting.
      chart.extend(1, epochs, iterations.map(trainingLossAt));
    }
  }

  // A trainer's own metric gets a chart once it is there.
  function added(metric) {
    const template = document.querySelector("template[data-reported]");
    if (!template || !metric.startsWith(REPORTED)) return null;
    const figure = template.content.firstElementChild.cloneNode(true);
    const [name, heading] = [metric.slice(REPORTED.length), figure.querySelector("h3")];
    figure.dataset.metric = metric;
    heading.textContent = messages.reported(name);
    heading.id = `chart-${metric}`;
    for (const part of [figure, figure.querySelector(".plot")]) part.setAttribute("aria-labelledby", heading.id);
    figure.querySelector("[data-png]").setAttribute("aria-label", messages.savePicture(name));
    template.before(figure);
    const chart = new Chart(figure);
    chart.setLog(logarithmic.checked);
    charts.set(metric, chart);
    return chart;
  }

  function trainingLossAt(iteration) {
    const index = batch.iterations.findLastIndex((done) => done <= iteration);
    return index < 0 ? null : batch.smoothed[index];
  }

  function history() {
    return validation.epochs.map((epoch, index) => ({
      epoch,
      validation: validation.losses[index],
      training: trainingLossAt(validation.iterations[index]),
    }));
  }

  // All that is smoothed, anew.
  smoothing.oninput = () => {
    smooth = smoother(Number(smoothing.value));
    batch.smoothed = batch.losses.map(smooth);
    charts.get("batch_loss")?.replace(1, batch.iterations, batch.smoothed);
    charts.get("validation_loss")?.replace(1, validation.epochs, validation.iterations.map(trainingLossAt));
  };
  logarithmic.onchange = () => charts.forEach((chart) => chart.setLog(logarithmic.checked));
  logarithmic.onchange();

  return { extend, history, charts };
}
