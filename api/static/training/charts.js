// The charts of a version's metrics. Each grows as values come; nothing is drawn again for that.
import { Chart } from "./chart.js";
import { smoother } from "./smooth.js";

export function startCharts() {
  const charts = new Map();
  for (const figure of document.querySelectorAll("[data-metric][data-axis]")) {
    charts.set(figure.dataset.metric, new Chart(figure));
  }
  let smooth = smoother();
  const batch = { iterations: [], smoothed: [] };
  const validation = { iterations: [], epochs: [], losses: [] };

  function extend({ metric, iterations, values, total, smoothed: given }, iterationsPerEpoch) {
    const chart = charts.get(metric);
    if (!chart) return;
    const epochs = iterations.map((iteration) => iteration / iterationsPerEpoch);
    chart.extend(0, chart.axis === "epoch" ? epochs : iterations, values);
    if (metric === "batch_loss") {
      const smoothed = given ?? values.map(smooth);
      if (given) smooth = smoother(total, given.at(-1));
      batch.iterations.push(...iterations);
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

  return { extend, history };
}
