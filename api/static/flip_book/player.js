// The slider over the epochs, its buttons and keys, and playing.
import * as messages from "./messages.js";

const STEP_MS = 350;
const SCRUB_MS = 120;
const IN_THEMSELVES = "input, select, textarea, button, a, summary, dialog, [role=region]";

export class Player {
  #timer;

  // `go` is called with the index of an epoch and the milliseconds in which points move there.
  constructor(place, epochs, go) {
    this.slider = place.querySelector("[data-slider]");
    this.text = place.querySelector("[data-epoch-text]");
    this.button = place.querySelector("[data-play]");
    this.speed = place.querySelector("[data-speed]");
    this.go = go;
    this.isPlaying = false;
    this.index = 0;
    this.extend(epochs);
    this.slider.addEventListener("input", () => this.scrub());
    this.button.addEventListener("click", () => this.toggle());
    place.addEventListener("click", ({ target }) => {
      const { step } = target.closest("[data-step]")?.dataset ?? {};
      if (step) this.step(Number(step));
    });
    document.addEventListener("keydown", (event) => this.#key(event));
  }

  // The numbers of all epochs there are now.
  extend(epochs) {
    this.epochs = epochs;
    this.slider.max = epochs.length;
    this.#write();
  }

  get isAtEnd() {
    return this.index === this.epochs.length - 1;
  }

  async show(index, milliseconds = STEP_MS) {
    this.index = Math.min(Math.max(index, 0), this.epochs.length - 1);
    this.#write();
    await this.go(this.index, milliseconds);
  }

  step(by) {
    this.pause();
    return this.show(this.index + by);
  }

  scrub() {
    this.pause();
    return this.show(Number(this.slider.value) - 1, SCRUB_MS);
  }

  toggle() {
    if (this.isPlaying) return this.pause();
    this.isPlaying = true;
    this.button.textContent = messages.PAUSE;
    return this.#next(this.isAtEnd ? 0 : this.index + 1);
  }

  pause() {
    clearTimeout(this.#timer);
    this.isPlaying = false;
    this.button.textContent = messages.PLAY;
  }

  async #next(index) {
    const pause = 1000 / Number(this.speed.value);
    const began = performance.now();
    await this.show(index, Math.min(STEP_MS, 0.8 * pause));
    if (!this.isPlaying) return;
    if (this.isAtEnd) return this.pause();
    this.#timer = setTimeout(() => this.#next(this.index + 1), Math.max(began + pause - performance.now(), 0));
  }

  #write() {
    const at = [this.epochs[this.index], this.epochs.at(-1)];
    this.slider.value = this.index + 1;
    this.slider.setAttribute("aria-valuetext", messages.spoken(...at));
    this.text.textContent = messages.position(...at);
  }

  #key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (event.target.closest(IN_THEMSELVES)) return;
    if (event.key === "ArrowLeft") this.step(-1);
    else if (event.key === "ArrowRight") this.step(1);
    else if (event.key === " ") this.toggle();
    else return;
    event.preventDefault();
  }
}
