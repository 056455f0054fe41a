// What a training would be, were it started now: images, workers, the queue, and its duration.
import { call, Problem } from "../api.js";
import * as messages from "./messages.js";

const PAUSE_MS = 150;
let estimated = "";
let pause;

// While a choice is wrong there is no estimate; what is wrong is said when the training is started.
export function showEstimate(form, choice) {
  const url = `${form.dataset.estimates}?${new URLSearchParams(choice)}`;
  if (url === estimated) return;
  estimated = url;
  clearTimeout(pause);
  pause = setTimeout(async () => {
    const found = await answered(url);
    if (url === estimated) write(form.querySelector("[data-footer]"), found, choice);
  }, PAUSE_MS);
}

async function answered(url) {
  try {
    return await call("GET", url);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    return undefined;
  }
}

function write(footer, found, { trainer }) {
  const say = (part, text) => (footer.querySelector(`[data-of="${part}"]`).textContent = text);
  say("duration", found?.duration ?? "");
  if (!found) return;
  say("images", messages.images(found.train_images, found.validation_images));
  const queue = messages.queue(found.trainings_before, trainer);
  say("queue", messages.sentence(queue, messages.workers(found.workers_online, trainer)));
}
