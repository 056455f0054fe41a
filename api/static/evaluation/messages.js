// Texts of the scripts of evaluations, in one place for translation.
import { percent } from "../numbers.js";

export const NO_CURVE = "No curve: there are no positives, or no predictions.";
export const averagePrecision = (share) => `average precision ${percent(share, 1)}`;
export const threshold = (value) => `threshold ${value.toPrecision(3)}`;
export const ABOVE_ALL = "above all scores";
export const RECALL = "recall";
export const PRECISION = "precision";
// What Plotly shows of a point, in its own notation.
export const POINT = "recall %{x:.3f}<br>precision %{y:.3f}<br>%{text}<extra></extra>";
