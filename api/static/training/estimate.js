// What a training would be, were it started now: images, workers, the queue, and its duration.
import { call, Problem } from "../api.js";

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
  const number = (count) => count.toLocaleString("en");
  say("images", `${number(found.train_images)} training and ${number(found.validation_images)} validation images.`);
  const before = found.trainings_before;
  const queue = `${before ? number(before) : "No"} training${before === 1 ? "" : "s"} before it${trainer ? ` in the queue of ${trainer}` : ""}`;
  say("queue", trainer ? `${queue}.` : `${queue}; ${workers(found.workers_online)}.`);
}

function workers(online) {
  if (online === null) return "which workers are online is unknown, since NATS does not answer";
  if (!online) return "no worker is online, so it waits until one is";
  return `${online} worker${online === 1 ? "" : "s"} online`;
}
