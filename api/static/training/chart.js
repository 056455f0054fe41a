// One chart: a metric over iterations or epochs, in the page's own colours.
import { thin } from "./thin.js";

const DRAWN_AT_MOST = 6000;
const SECOND = { batch_loss: "smoothed", validation_loss: "training, smoothed" };

export class Chart {
  constructor(figure) {
    this.figure = figure;
    delete figure.dataset.points;
    this.metric = figure.dataset.metric;
    this.axis = figure.dataset.axis;
    this.epochs = Number(figure.dataset.epochs);
    this.digits = Number(figure.dataset.digits);
    this.latest = figure.querySelector("[data-latest]");
    this.plot = figure.querySelector(".plot");
    Plotly.newPlot(this.plot, this.traces(), this.layout(), { displayModeBar: false, responsive: true });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.recolour());
  }

  extend(trace, x, y) {
    Plotly.extendTraces(this.plot, { x: [x], y: [y] }, [trace]);
    const drawn = this.plot.data[trace];
    if (drawn.x.length > DRAWN_AT_MOST) {
      const kept = thin(drawn.x, drawn.y, DRAWN_AT_MOST / 2);
      Plotly.restyle(this.plot, { x: [kept.x], y: [kept.y] }, [trace]);
    }
    if (trace === 0) this.figure.dataset.points = Number(this.figure.dataset.points ?? 0) + y.length;
    if (trace === 0 && y.length) this.say(x.at(-1), y.at(-1));
  }

  say(x, y) {
    const value = Number(y.toPrecision(this.digits));
    const where = Number.isInteger(x) ? x : x.toFixed(2);
    this.latest.textContent = `${value} at ${this.axis} ${where}`;
  }

  traces() {
    const [main, faint] = [colour("--accent"), colour("--faint")];
    const points = this.axis === "epoch" ? "lines+markers" : "lines";
    const own = { x: [], y: [], mode: points, name: this.axis === "epoch" ? "validation" : "batch", showlegend: false };
    if (!(this.metric in SECOND)) return [{ ...own, line: { color: main, width: 2 } }];
    const batch = this.metric === "batch_loss";
    const second = { x: [], y: [], mode: points, name: SECOND[this.metric], showlegend: true };
    return [
      { ...own, showlegend: true, line: { color: batch ? faint : main, width: batch ? 1 : 2 } },
      { ...second, line: { color: batch ? main : faint, width: 2, dash: batch ? "solid" : "dot" } },
    ];
  }

  layout() {
    const [ink, line] = [colour("--quiet"), colour("--line")];
    const axis = { gridcolor: line, linecolor: line, zeroline: false, automargin: true };
    return {
      height: 210,
      margin: { l: 44, r: 12, t: this.metric in SECOND ? 26 : 10, b: 34 },
      paper_bgcolor: "transparent",
      plot_bgcolor: "transparent",
      font: { family: getComputedStyle(document.body).fontFamily, size: 11, color: ink },
      xaxis: { ...axis, dtick: this.axis === "epoch" && this.epochs <= 12 ? 1 : undefined, title: { text: this.axis, standoff: 4 }, rangemode: "tozero" },
      yaxis: { ...axis, rangemode: this.metric.endsWith("loss") ? "tozero" : "normal" },
      legend: { orientation: "h", x: 1, xanchor: "right", y: 1, yanchor: "bottom", bgcolor: "transparent" },
      hovermode: "x unified",
      hoverlabel: { bgcolor: colour("--paper"), bordercolor: line, font: { color: colour("--ink") } },
    };
  }

  recolour() {
    Plotly.relayout(this.plot, this.layout());
    this.traces().forEach(({ line }, index) => Plotly.restyle(this.plot, { "line.color": line.color }, [index]));
  }
}

export function colour(property) {
  return getComputedStyle(document.documentElement).getPropertyValue(property).trim();
}
