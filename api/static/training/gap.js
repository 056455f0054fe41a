// Over-fitting in a sentence: the validation loss rises while the training loss still falls.

const CLEARLY = 1.02;

// `history` has {epoch, validation, training} at every epoch's end; the empty text if all is well.
export function gapSentence(history) {
  const known = history.filter(({ training }) => training !== null);
  if (known.length < 2) return "";
  const best = known.reduce((low, one) => (one.validation < low.validation ? one : low));
  const last = known.at(-1);
  const rose = last.validation > CLEARLY * best.validation;
  if (last === best || !rose || last.training >= best.training) return "";
  return (
    `Since epoch ${short(best.epoch)} the validation loss has risen from ${short(best.validation)} to ` +
    `${short(last.validation)} while the training loss fell from ${short(best.training)} to ` +
    `${short(last.training)}: the version is over-fitting. Train fewer epochs, or add images.`
  );
}

function short(value) {
  return String(Number(value.toPrecision(3)));
}
