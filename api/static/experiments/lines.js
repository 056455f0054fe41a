// How the line of a trial is drawn: the best is strong, pruned ones are faint, others are between.
import { colour } from "../lines_chart.js";

export const COMPLETED = ["ready", "stopped"];
export const PRUNED = "pruned";

export function styleOf(trial, best) {
  if (trial.number === best?.number) return { color: colour("--accent"), width: 3, opacity: 1 };
  if (trial.status === PRUNED) return { color: colour("--faint"), width: 1, opacity: 0.6 };
  return { color: colour("--busy"), width: 1.5, opacity: COMPLETED.includes(trial.status) ? 0.55 : 0.9 };
}

// What is drawn last is above the rest.
export function bestLast(trials, best) {
  const rank = (trial) => (trial.number === best?.number ? 2 : trial.status === PRUNED ? 0 : 1);
  return [...trials].sort((one, other) => rank(one) - rank(other));
}
