// Texts of the scripts of experiments, in one place for translation.
import { counted } from "../numbers.js";

export const CHOSEN_BY = { default: "the form’s defaults", random: "random choice", tpe: "TPE" };
export const EPOCH = "epoch";
export const TRIAL = "trial";
export const ENDINGS = { pruned: "pruned", open: "not finished", completed: "completed" };
export const trial = (number) => `trial ${number}`;
export const ON = "on";
export const OFF = "off";
export const outdated = (problem) => `Connection lost. The charts may be outdated. ${problem}`;

// What Plotly shows of a point, in its own notation.
export const ofEpoch = (number, status, format = ".1%") => `trial ${number}${status ? ` (${status})` : ""}, epoch %{x}: %{y:${format}}<extra></extra>`;
export const ofTrial = (ending) => `trial %{x} (${ending}), chosen by %{text}: %{y:.1%}<extra></extra>`;
export const ofOptions = (number, status) => `trial ${number} (${status})<br>%{text}<extra></extra>`;
export const ofImportance = "%{y}: %{x:.0%}<extra></extra>";

// Both are texts of the form; what is no number yet is shown as it is.
export const planned = (trials, epochs) => `${plural(trials, "training")} of at most ${plural(epochs, "epoch")}.`;

function plural(text, noun) {
  const number = Number(text);
  return text === "" || Number.isNaN(number) ? `${text || "?"} ${noun}s` : counted(number, noun);
}
