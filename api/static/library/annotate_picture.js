// The picture in its place: fitted to the page, or zoomed in and panned. Its pixels are those that
// training gets. There is no picture while the next one loads.

const TALLEST = 0.7;
const LARGEST_SCALE = 48;
const MOST_ZOOM = 40;
const STEP = 1.25;

export class Stage {
  #zoom = 1;
  #pan;
  #space = false;

  // `zoomed(factor)` is told of every change of the zoom; 1 is the whole picture.
  constructor(stage, frame, zoomed) {
    Object.assign(this, { stage, frame, zoomed });
    addEventListener("resize", () => this.#fit());
    stage.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    // Before the boxes are told: a drag with the space bar or the middle button draws none.
    stage.addEventListener("pointerdown", (event) => this.#press(event), { capture: true });
    stage.addEventListener("pointermove", (event) => this.#move(event), { capture: true });
    for (const end of ["pointerup", "pointercancel"]) {
      stage.addEventListener(end, () => this.#release(), { capture: true });
    }
    document.addEventListener("keydown", ({ key, target }) => {
      if (key === " " && !target.closest("button, a, summary, input, select, textarea")) this.#space = true;
    });
    document.addEventListener("keyup", ({ key }) => {
      if (key === " ") this.#space = false;
    });
  }

  show(image, { element }) {
    const old = this.frame.querySelector("[data-picture]");
    element.alt = image.file_name;
    Object.assign(this.frame.dataset, { width: image.width, height: image.height });
    if (old !== element) old.replaceWith(element);
    this.frame.classList.remove("waiting");
    this.fit();
  }

  hide() {
    this.frame.classList.add("waiting");
  }

  fit() {
    this.#zoom = 1;
    this.#fit();
  }

  in() {
    this.#by(STEP);
  }

  out() {
    this.#by(1 / STEP);
  }

  // Zoom by a ratio; the place of the picture that is at a point of the window stays there.
  #by(ratio, at = this.#middle()) {
    const zoom = Math.min(Math.max(this.#zoom * ratio, 1), MOST_ZOOM);
    if (zoom === this.#zoom) return;
    const before = this.frame.getBoundingClientRect();
    const share = { x: (at.clientX - before.left) / before.width, y: (at.clientY - before.top) / before.height };
    this.#zoom = zoom;
    this.#fit();
    const after = this.frame.getBoundingClientRect();
    this.stage.scrollLeft += after.left + share.x * after.width - at.clientX;
    this.stage.scrollTop += after.top + share.y * after.height - at.clientY;
  }

  #middle() {
    const { left, top, width, height } = this.stage.getBoundingClientRect();
    return { clientX: left + width / 2, clientY: top + height / 2 };
  }

  #fit() {
    const { width, height } = this.frame.dataset;
    // The stage's width without a scroll bar, which comes with the zoom.
    const fitted = Math.min(this.stage.offsetWidth / width, (TALLEST * innerHeight) / height, LARGEST_SCALE);
    const scale = fitted * this.#zoom;
    const isZoomed = this.#zoom > 1;
    this.stage.classList.toggle("zoomed", isZoomed);
    this.stage.style.maxHeight = isZoomed ? `${Math.round(TALLEST * innerHeight)}px` : "";
    if (isZoomed) this.stage.tabIndex = 0;
    else this.stage.removeAttribute("tabindex");
    this.frame.style.width = `${Math.round(width * scale)}px`;
    this.frame.style.height = `${Math.round(height * scale)}px`;
    this.frame.classList.toggle("tiny", scale > 4);
    this.zoomed(this.#zoom);
  }

  // With Ctrl, which a pinch of a touchpad sets too; without it the wheel scrolls as everywhere.
  #wheel(event) {
    if (!event.ctrlKey) return;
    event.preventDefault();
    this.#by(Math.exp(-event.deltaY / 400), event);
  }

  #press(event) {
    const pans = event.button === 1 || (event.button === 0 && this.#space);
    if (!pans) return;
    event.preventDefault();
    event.stopPropagation();
    this.stage.setPointerCapture(event.pointerId);
    this.#pan = { x: event.clientX + this.stage.scrollLeft, y: event.clientY + this.stage.scrollTop };
  }

  #move(event) {
    if (!this.#pan) return;
    event.stopPropagation();
    this.stage.scrollLeft = this.#pan.x - event.clientX;
    this.stage.scrollTop = this.#pan.y - event.clientY;
  }

  #release() {
    this.#pan = undefined;
  }
}
