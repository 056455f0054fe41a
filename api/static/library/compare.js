// The curves of the versions that are compared, over each other; a metric is chosen.
import { LinesChart } from "../lines_chart.js";
import { percent } from "../numbers.js";
import { EPOCH } from "./messages.js";

const INKS = ["--accent", "--busy", "--bad", "--warn"];
const DASHES = [undefined, [6, 4]];

const figure = document.querySelector("[data-curves]");
const metric = document.querySelector("[data-metric-choice]");
const versions = JSON.parse(figure.dataset.curves);
const isShare = () => metric.selectedOptions[0].dataset.share === "yes";
const inPercent = (value) => percent(value, 1);

const lines = () => versions.map(({ name, series }, place) => {
  const [x, y] = series[metric.value] ?? [[], []];
  return { name, x, y, ink: INKS[place % INKS.length], dash: DASHES[Math.floor(place / INKS.length) % DASHES.length] };
});

const chart = new LinesChart(figure.querySelector(".plot"), {
  xName: EPOCH, isWhole: true, lines: lines(), fromZero: !isShare(), text: isShare() ? inPercent : undefined,
});
const show = () => {
  const isLog = document.querySelector("[data-log]").checked && !isShare();
  Object.assign(chart, { lines: lines(), fromZero: !isShare() && !isLog, text: isShare() ? inPercent : undefined, log: isLog });
  chart.draw({ anew: true });
  figure.dataset.points = chart.lines.reduce((sum, { x }) => sum + x.length, 0);
};
metric.addEventListener("change", show);
document.querySelector("[data-log]").addEventListener("change", show);
figure.querySelector("[data-png]").addEventListener("click", () => chart.save(metric.value));
show();
