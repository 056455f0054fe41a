// One chart of a version: a metric over iterations or epochs, which grows as values come.
import { LinesChart } from "../lines_chart.js";
import * as messages from "./messages.js";
import { thin } from "./thin.js";

const DRAWN_AT_MOST = 6000;

export class Chart {
  constructor(figure) {
    this.figure = figure;
    delete figure.dataset.points;
    this.metric = figure.dataset.metric;
    this.axis = figure.dataset.axis;
    this.digits = Number(figure.dataset.digits);
    this.latest = figure.querySelector("[data-latest]");
    this.lines = this.#lines();
    const place = figure.querySelector(".plot");
    place.replaceChildren();
    const isLoss = this.metric.endsWith("loss");
    this.chart = new LinesChart(place, {
      xName: this.axis, isWhole: this.axis === "epoch" && Number(figure.dataset.epochs) <= 500, fromZero: isLoss, lines: this.lines,
    });
    figure.querySelector("[data-png]").onclick = () => this.chart.save(this.metric);
  }

  extend(line, x, y) {
    const drawn = this.lines[line];
    drawn.x.push(...x);
    drawn.y.push(...y);
    if (drawn.x.length > DRAWN_AT_MOST) Object.assign(drawn, thin(drawn.x, drawn.y, DRAWN_AT_MOST / 2));
    this.chart.draw();
    if (line === 0) this.figure.dataset.points = Number(this.figure.dataset.points ?? 0) + y.length;
    if (line === 0 && y.length) this.say(x.at(-1), y.at(-1));
  }

  // Other points for a line.
  replace(line, x, y) {
    Object.assign(this.lines[line], x.length > DRAWN_AT_MOST ? thin(x, y, DRAWN_AT_MOST / 2) : { x: [...x], y: [...y] });
    this.chart.draw();
  }

  // The line of another version, or none any more.
  overlay(key, line) {
    const others = this.lines.filter((one) => one.key !== key);
    if (!line && others.length === this.lines.length) return;
    this.lines.splice(0, this.lines.length, ...others, ...(line ? [{ ...line, key, width: 1.5 }] : []));
    this.figure.dataset.overlaid = this.lines.filter((one) => one.key).length;
    this.chart.draw({ anew: true });
  }

  setLog(log) {
    if (this.metric.endsWith("loss")) this.chart.setLog(log);
  }

  say(x, y) {
    const value = Number(y.toPrecision(this.digits));
    const where = Number.isInteger(x) ? x : x.toFixed(2);
    this.latest.textContent = messages.latest(value, this.axis, where);
  }

  #lines() {
    const own = { x: [], y: [], name: this.axis === "epoch" ? messages.VALIDATION : messages.BATCH, ink: "--accent" };
    if (!(this.metric in messages.SECOND)) return [own];
    const second = { x: [], y: [], name: messages.SECOND[this.metric] };
    if (this.metric === "batch_loss") return [{ ...own, ink: "--faint", width: 1 }, { ...second, ink: "--accent" }];
    return [own, { ...second, ink: "--edge", dash: [3, 3] }];
  }
}
