// What a point is, beside it, with its picture.
import * as messages from "./messages.js";
import { element, percent, predictionOf, shot, truthOf } from "./words.js";

// A pointer that crosses the map does not ask for all pictures on its way.
const PAUSE_MS = 60;

export class Tip {
  #timer;

  constructor(place, recording) {
    this.place = place;
    this.recording = recording;
  }

  show(item, map, arrays) {
    clearTimeout(this.#timer);
    this.place.hidden = true;
    if (item < 0 || !arrays) return;
    this.#timer = setTimeout(() => {
      const { recording, place } = this;
      const words = [messages.trueLabel(truthOf(recording, item)), messages.predictedLabel(predictionOf(recording, item, arrays)), percent(arrays.probability[item])];
      place.replaceChildren(shot(recording, item, ""), ...words.map((text) => element("span", { textContent: text })));
      place.dataset.item = recording.keys[item];
      const [x, y] = [map.drawn[2 * item], map.drawn[2 * item + 1]];
      place.style.left = `${x}px`;
      place.style.top = `${y}px`;
      place.classList.toggle("left", x > map.width / 2);
      place.classList.toggle("below", y < map.height / 2);
      place.hidden = false;
    }, PAUSE_MS);
  }
}
