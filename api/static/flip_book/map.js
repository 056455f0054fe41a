// The data map: points on a canvas that move to where an epoch has them.
import { Stamp, packed } from "./stamp.js";

const PAD = 10;
const RADIUS = 3.5;
const NEAR = 14;
const DRAG = 5;
// The standard deviation of numbers from 0 to 1 is at most a half.
export const WIDEST = 0.5;
// More points than these are not moved in steps: each frame would take too long.
const MOVED_AT_MOST = 20_000;
// How much of the way is left at the end of a move is e to the power of minus this.
const SPEED = 5;
const A_FRAME = 1000 / 60;
const LONGEST_FRAME = 100;
const still = matchMedia("(prefers-reduced-motion: reduce)");

export class DataMap {
  // `on` has what is called: hover(point or -1), open(point), lasso(polygon), rest().
  constructor(canvas, count, on) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.count = count;
    this.on = on;
    this.now = new Float32Array(2 * count);
    this.to = new Float32Array(2 * count);
    // Where each point was drawn, in CSS pixels of the canvas.
    this.drawn = new Float32Array(2 * count);
    this.colours = new Uint16Array(count);
    this.shown = new Uint8Array(count).fill(1);
    this.chosen = null;
    this.rings = {};
    this.path = null;
    this.until = 0;
    this.palette = null;
    canvas.map = this;
    new ResizeObserver(() => this.#resize()).observe(canvas);
    this.#listen();
  }

  // The colours of the points, and of those that the lasso leaves out.
  paint(palette, faint, ink) {
    this.ink = ink;
    this.palette = Uint32Array.from(palette, (each) => packed(each, 0.85));
    this.faint = packed(faint, 0.35);
    this.draw();
  }

  // Moves the points to these places in so many milliseconds.
  move(variability, confidence, milliseconds) {
    for (let at = 0; at < this.count; at += 1) {
      this.to[2 * at] = variability[at];
      this.to[2 * at + 1] = confidence[at];
    }
    const isMoved = milliseconds && !still.matches && this.count <= MOVED_AT_MOST;
    this.milliseconds = isMoved ? milliseconds : 0;
    this.until = performance.now() + this.milliseconds;
    this.isResting = false;
    this.draw();
  }

  // In the next frame.
  draw() {
    this.request ??= requestAnimationFrame((time) => this.#frame(time));
  }

  // The point at a place of the canvas, or -1.
  at(x, y, within = NEAR) {
    let [found, least] = [-1, within * within];
    for (let at = 0; at < this.count; at += 1) {
      if (!this.shown[at]) continue;
      const [dx, dy] = [this.drawn[2 * at] - x, this.drawn[2 * at + 1] - y];
      const away = dx * dx + dy * dy;
      if (away < least) [found, least] = [at, away];
    }
    return found;
  }

  #frame(time) {
    this.request = undefined;
    // Each frame goes a share of the way that is left, so that points move, too, whose place changes
    // before they have reached it.
    const spent = Math.min(time - (this.before ?? time - A_FRAME), LONGEST_FRAME);
    const isThere = time >= this.until;
    const share = isThere ? 1 : 1 - Math.exp((-SPEED * spent) / this.milliseconds);
    const { now, to, drawn } = this;
    const [width, height] = [this.width - 2 * PAD, this.height - 2 * PAD];
    for (let at = 0; at < now.length; at += 2) {
      now[at] += (to[at] - now[at]) * share;
      now[at + 1] += (to[at + 1] - now[at + 1]) * share;
      drawn[at] = PAD + (now[at] / WIDEST) * width;
      drawn[at + 1] = PAD + (1 - now[at + 1]) * height;
    }
    this.#points();
    this.#marks();
    this.before = isThere ? undefined : time;
    if (!isThere) {
      this.draw();
    } else if (!this.isResting) {
      this.isResting = true;
      this.on.rest();
    }
  }

  // Written as pixels: a frame of 5,000 points takes a tenth of the time that drawImage does.
  #points() {
    const { drawn, shown, chosen, colours, palette, faint, stamp } = this;
    if (!palette || !stamp) return;
    const scale = devicePixelRatio;
    stamp.clear();
    if (chosen) {
      for (let at = 0; at < this.count; at += 1) {
        if (shown[at] && !chosen[at]) stamp.put(drawn[2 * at] * scale, drawn[2 * at + 1] * scale, faint);
      }
    }
    for (let at = 0; at < this.count; at += 1) {
      if (shown[at] && (!chosen || chosen[at])) stamp.put(drawn[2 * at] * scale, drawn[2 * at + 1] * scale, palette[colours[at]]);
    }
    stamp.show();
  }

  #marks() {
    const { context } = this;
    context.save();
    context.scale(devicePixelRatio, devicePixelRatio);
    context.strokeStyle = this.ink;
    for (const [name, at] of Object.entries(this.rings)) {
      if (at < 0 || at === undefined) continue;
      context.lineWidth = name === "open" ? 2.5 : 1.5;
      context.beginPath();
      context.arc(this.drawn[2 * at], this.drawn[2 * at + 1], name === "open" ? 8 : 6, 0, 2 * Math.PI);
      context.stroke();
    }
    if (this.path) {
      context.lineWidth = 1.5;
      context.setLineDash([5, 4]);
      context.beginPath();
      for (let at = 0; at < this.path.length; at += 2) context.lineTo(this.#x(this.path[at]), this.#y(this.path[at + 1]));
      context.closePath();
      context.stroke();
    }
    context.restore();
  }

  #x(variability) {
    return PAD + (variability / WIDEST) * (this.width - 2 * PAD);
  }

  #y(confidence) {
    return PAD + (1 - confidence) * (this.height - 2 * PAD);
  }

  #resize() {
    const { clientWidth, clientHeight } = this.canvas;
    [this.width, this.height] = [clientWidth, clientHeight];
    this.canvas.width = Math.round(clientWidth * devicePixelRatio);
    this.canvas.height = Math.round(clientHeight * devicePixelRatio);
    this.stamp = this.canvas.width && this.canvas.height ? new Stamp(this.context, RADIUS * devicePixelRatio) : null;
    this.draw();
  }

  #listen() {
    let start = null;
    const place = ({ offsetX, offsetY }) => [
      ((offsetX - PAD) / (this.width - 2 * PAD)) * WIDEST,
      1 - (offsetY - PAD) / (this.height - 2 * PAD),
    ];
    this.canvas.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      start = { x: event.offsetX, y: event.offsetY, path: place(event), before: this.path };
      this.canvas.setPointerCapture(event.pointerId);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (!start) return this.on.hover(this.at(event.offsetX, event.offsetY));
      const isDrag = Math.hypot(event.offsetX - start.x, event.offsetY - start.y) > DRAG;
      if (!isDrag && this.path !== start.path) return undefined;
      start.path.push(...place(event));
      this.path = start.path;
      return this.draw();
    });
    this.canvas.addEventListener("pointerup", (event) => {
      if (!start) return;
      const isLasso = this.path === start.path;
      const { path } = start;
      start = null;
      if (isLasso) this.on.lasso(path);
      else this.on.open(this.at(event.offsetX, event.offsetY));
    });
    this.canvas.addEventListener("pointercancel", () => {
      if (start) this.path = start.before;
      start = null;
      this.draw();
    });
    this.canvas.addEventListener("pointerleave", () => this.on.hover(-1));
  }
}
