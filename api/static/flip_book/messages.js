// Texts of the flip book's scripts, in one place for translation.
import { number, percent } from "../numbers.js";

export const REGIONS = ["easy", "ambiguous", "hard"];
export const SPLITS = ["training", "validation"];
export const NEVER_CORRECT = "never correct";
export const ALWAYS_CORRECT = "correct in all epochs";
export const CORRECT = "correct";
export const NOT_CORRECT = "not correct";
export const MISCLASSIFIED = "misclassified";
export const NOTHING = "nothing";
export const not = (label) => `not ${label}`;
export const TRUE = "true";
export const PREDICTED = "predicted";

export const pointOf = (epoch, probability, correct) => `epoch ${epoch}: ${percent(probability, 1)}, ${correct ? CORRECT : NOT_CORRECT}`;
export const curve = (points) => `Probability of the true label: ${points.join("; ")}`;

export const chosen = (epoch, count, all, regions) =>
  `Epoch ${epoch}: ${number(count)} of ${number(all)} chosen: ${REGIONS.map((name, at) => `${number(regions[at])} ${name}`).join(", ")}.`;
export const range = (first, last, all) => `${number(first)} to ${number(last)} of ${number(all)}`;

export const picture = (split, truth) => `${split} image, true ${truth}`;
export const trueLabel = (truth) => `true ${truth}`;
export const predictedLabel = (predicted) => `predicted ${predicted}`;
export const both = (truth, predicted) => `true ${truth}, predicted ${predicted}`;
export const COLUMNS = {
  split: "Split",
  truth: "True",
  predicted: "Predicted",
  probability: "Probability",
  confidence: "Confidence",
  variability: "Variability",
  correctness: "Correctness",
  aum: "AUM",
  forgotten: "Forgotten",
  region: "Region",
  outcome: "Outcome",
};
export const FACTS = {
  probability: "Probability of the true label",
  margin: "Margin",
  loss: "Loss",
  confidence: "Confidence so far",
};

export const afterEpoch = (epoch) => ` after epoch ${epoch}: true `;
export const AND_PREDICTED = ", predicted ";
export const times = (count) => `${number(count)}×`;
export const IMAGE_GONE = "An image that is no longer in the project";
export const NO_HISTORY = "No history yet.";
export const NEWER_CONCEPT = "a newer concept";
export const NO_CONCEPT = "no concept";
export const by = (account) => ` by ${account}, `;
export const trueBox = (label) => `${label}, true`;
export const predictedBox = (label, score, outcome) => `${label} ${score.toFixed(2)}, ${outcome}`;

export const PLAY = "Play";
export const PAUSE = "Pause";
export const position = (epoch, last) => `${epoch} of ${last}`;
export const spoken = (epoch, last) => `epoch ${position(epoch, last)}`;
export const ENDED = "Training ended: no more epochs";

const DECISIONS = { upheld: "upheld", unsure: "left unsure", corrected: "corrected" };
export const decided = (count, decision) => `${number(count)} ${DECISIONS[decision]}`;
