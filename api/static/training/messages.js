// Texts of the trainings' scripts, in one place for translation.
import { counted, number, percent } from "../numbers.js";
import { estimate, exact, lasting } from "../times.js";

// The lines of a chart.
export const BATCH = "batch";
export const VALIDATION = "validation";
export const SECOND = { batch_loss: "smoothed", validation_loss: "training, smoothed" };
export const latest = (value, axis, place) => `${value} at ${axis} ${place}`;
export const reported = (name) => `${name}, reported by the trainer`;
export const savePicture = (name) => `Save ${name} as PNG`;
export const overlaid = (name) => `${name} ×`;
export const removeOverlaid = (name) => `Remove ${name} from the charts`;

export const iterations = (done, all) => `${number(done)} of ${counted(all, "iteration")}`;
export const left = (seconds) => `about ${estimate(seconds)} left`;
export const took = (seconds) => `took ${lasting(seconds)}`;
export const overfitting = ({ epoch, from, to, trainingFrom, trainingTo }) =>
  `Since epoch ${epoch} the validation loss has risen from ${from} to ${to} while the training loss fell from ${trainingFrom} to ` +
  `${trainingTo}: the version is over-fitting. Train fewer epochs, or add images.`;

// What a training would use, in the footer of its dialog.
export const images = (training, validation) => `${number(training)} training and ${counted(validation, "validation image")}.`;
export const queue = (before, trainer) => `${before ? number(before) : "No"} training${before === 1 ? "" : "s"} before it${trainer ? ` in the queue of ${trainer}` : ""}`;
export const workers = (online, trainer) => {
  if (online === null) return "the number of workers online is unknown, because NATS does not answer";
  if (trainer) {
    if (online) return `${counted(online, "worker")} of ${trainer} online`;
    return `no worker of ${trainer} is online; start it with "python YOUR_SCRIPT.py"`;
  }
  return online ? `${counted(online, "worker")} online` : "no workers online, so it stays queued until one starts";
};
export const sentence = (...parts) => `${parts.join("; ")}.`;

export const A_VERSION = "a version";
export const standard = (value) => `default (${value})`;
export const NONE = "none";
export const start = ({ name, concepts, indicator, createdAt }) =>
  [name, counted(concepts, "concept"), ...(indicator === null ? [] : [percent(indicator, 1)]), exact(createdAt).slice(0, 10)].join(" · ");

// A training with the options of an earlier version.
export const again = (name) => `With the options of ${name}; change what you like.`;
export const failure = (reason) => `It failed: ${reason}.`;
export const smaller = (rate, before) => `A smaller initial learning rate is proposed: ${rate} instead of ${before}.`;
export const retired = (trainer) => `Its trainer ${trainer} is not available for new versions.`;
export const missing = (trainer, key) => `${trainer} no longer has the setting ${key}.`;
