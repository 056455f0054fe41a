// Over-fitting in a sentence: the validation loss rises while the training loss still falls.
import { overfitting } from "./messages.js";

const CLEARLY = 1.02;

// `history` has {epoch, validation, training} at every epoch's end; the empty text if all is well.
export function gapSentence(history) {
  const known = history.filter(({ training }) => training !== null);
  if (known.length < 2) return "";
  const best = known.reduce((low, one) => (one.validation < low.validation ? one : low));
  const last = known.at(-1);
  const rose = last.validation > CLEARLY * best.validation;
  if (last === best || !rose || last.training >= best.training) return "";
  return overfitting({
    epoch: short(best.epoch),
    from: short(best.validation),
    to: short(last.validation),
    trainingFrom: short(best.training),
    trainingTo: short(last.training),
  });
}

function short(value) {
  return String(Number(value.toPrecision(3)));
}
