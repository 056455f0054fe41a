// A chart of lines, drawn by uPlot in the page's own colours.
import { NO_CHARTS } from "./messages.js";

const HEIGHT = 210;
const FONT = 11;

export function colour(property) {
  return getComputedStyle(document.documentElement).getPropertyValue(property).trim();
}

// As much as the longest value on the vertical axis takes.
function room(_, values) {
  const longest = Math.max(0, ...(values ?? []).map(({ length }) => length));
  return Math.max(44, 16 + 0.62 * FONT * longest);
}

export class LinesChart {
  #plot;
  #drawing = false;
  log = false;

  // `xName` names the horizontal axis. `isWhole` says that its values are whole numbers, `fromZero`
  // that the vertical axis begins at 0, `text(value)` how a value is written.
  // `lines` are { name, x, y, ink, width, dash }; `ink` is a colour's name in the style sheet.
  constructor(place, { xName, isWhole = false, fromZero = false, text, lines }) {
    Object.assign(this, { place, xName, isWhole, fromZero, text, lines });
    place.chart = this;
    this.#make();
    new ResizeObserver(() => this.#plot?.setSize(this.#size())).observe(place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#make());
  }

  // The lines have other points, or with `anew` there are others.
  draw({ anew = false } = {}) {
    if (anew) {
      this.#make();
      return;
    }
    if (this.#drawing) return;
    this.#drawing = true;
    setTimeout(() => {
      this.#drawing = false;
      this.#plot?.setData(this.#data());
    });
  }

  setLog(log) {
    this.log = log;
    this.#make();
  }

  // Saves the picture as it is shown, on the page's ground.
  save(name) {
    const { canvas } = this.#plot.ctx;
    const copy = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
    const context = copy.getContext("2d");
    context.fillStyle = colour("--paper");
    context.fillRect(0, 0, copy.width, copy.height);
    context.drawImage(canvas, 0, 0);
    const link = Object.assign(document.createElement("a"), { href: copy.toDataURL("image/png"), download: `${name}.png` });
    link.click();
  }

  #make() {
    this.#plot?.destroy();
    this.ink = colour("--quiet");
    if (!globalThis.uPlot) {
      this.place.textContent = NO_CHARTS;
      return;
    }
    this.#plot = new uPlot(this.#options(), this.#data(), this.place);
  }

  // One axis for all lines, as uPlot wants it. A logarithm has no place for 0 and below.
  #data() {
    const tables = this.lines.map(({ x, y }) => [x, this.log ? y.map((value) => (value > 0 ? value : null)) : y]);
    const first = tables[0][0];
    const isShared = tables.every(([x]) => x.length === first.length && x.every((value, at) => value === first[at]));
    return isShared ? [first, ...tables.map(([, y]) => y)] : uPlot.join(tables);
  }

  #size() {
    const legend = this.place.querySelector(".u-legend")?.offsetHeight ?? 0;
    return { width: this.place.clientWidth, height: (this.place.clientHeight || HEIGHT) - legend };
  }

  #options() {
    const axis = {
      stroke: this.ink,
      font: `${FONT}px ${getComputedStyle(document.body).fontFamily}`,
      grid: { stroke: colour("--line"), width: 1 },
      ticks: { stroke: colour("--line"), width: 1, size: 4 },
    };
    const short = (value) => (value === null ? "" : String(Number(value.toPrecision(4))));
    return {
      ...this.#size(),
      padding: [10, 12, 0, 0],
      legend: { show: this.lines.length > 1 },
      cursor: { drag: { x: true, y: false }, points: { size: 6 } },
      scales: {
        x: { time: false, range: (_, low, high) => [Math.min(0, low), high > 0 ? high : 1] },
        y: this.log ? { distr: 3 } : { range: (_, low, high) => this.#range(low, high) },
      },
      axes: [
        { ...axis, label: this.xName, labelSize: 16, labelFont: axis.font, size: 30, incrs: this.isWhole ? [1, 2, 5, 10, 20, 50, 100, 200, 500] : undefined },
        { ...axis, size: room, values: (_, values) => values.map((value) => (value === null ? "" : (this.text ?? short)(value))) },
      ],
      series: [
        { label: this.xName, value: (_, value) => (value === null ? "–" : short(value)) },
        ...this.lines.map(({ name, ink, width = 2, dash }) => ({
          label: name, stroke: colour(ink), width, dash, spanGaps: true,
          points: { size: 5, fill: colour(ink) },
          value: (_, value) => (value === null ? "–" : (this.text ?? short)(value)),
        })),
      ],
    };
  }

  #range(low, high) {
    if (low === null || high === null) return [0, 1];
    const from = this.fromZero ? Math.min(0, low) : low;
    const room = (high - from || Math.abs(high) || 1) * 0.06;
    return [this.fromZero ? from : from - room, high + room];
  }
}
