// Texts of the scripts of the library and of annotating, in one place for translation.
import { counted, percent } from "../numbers.js";

export const EPOCH = "epoch";
export const FIT = "Fit";
export const zoomed = (factor) => percent(factor);
export const REMOVED = "removed";
export const suggested = (label, score) => `${label} ${percent(score)}`;
export const NOTHING = "nothing";
export const numbered = (place, label) => `${place} ${label}`;
export const reviewed = (reviewer) => `, reviewed by ${reviewer}`;
export const YOU = "you";
export const inFilmstrip = (name, annotated) => `${name}, ${annotated ? "annotated" : "not annotated"}`;

export const SPLITS = { train: "training", validation: "validation", test: "test" };

// How the image that is shown is saved; they follow its split, so they begin with a small letter.
export const STATES = {
  saving: "saving…",
  undecided: "not saved: edited by someone else",
  failed: "not saved",
  changed: "not saved yet",
  saved: "saved",
  empty: "not annotated yet",
};

// What follows the state: why something was not done.
export const NOTES = {
  loading: "the image is loading…",
  notLoaded: "the next image cannot be loaded",
  noSuggestion: "no suggestion for this image",
  noConcept: "the suggestion has no concept",
  noCrop: "the image has no crop in this view",
  nothingToCopy: "the previous image has nothing to copy",
  labelled: "this image has a concept; go to another image, or click a concept to change it",
  blind: "blind annotations cannot be reviewed",
  allAnnotated: "no other image is unannotated",
  noOpen: "no other image has an open suggestion",
  noPrevious: "no previous image",
  noNext: "no next image",
  noUndo: "nothing to undo",
  noRedo: "nothing to redo",
  ignored: "a key was ignored: no image was shown",
  annotateFirst: "annotate the image before you review it",
  notSaved: "not reviewed, because it is not saved",
  changedByOthers: "not reviewed, because someone has changed it: check it again",
};
export const notRejected = (problem) => `not rejected: ${problem}`;
export const notReviewed = (problem) => `not reviewed: ${problem}`;
export const changedMeanwhile = (name) => `${name} has changed in the meantime`;
export const noImage = (where) => (where.endsWith("-unannotated") ? NOTES.allAnnotated : where === "next" ? NOTES.noNext : NOTES.noPrevious);

export const gone = (name) => `${name} was removed: its annotations are not kept.`;
export const failed = (name, problem) => `${name} is not saved: ${problem}`;
export const backTo = (name) => `Back to ${name}`;
export const EDITED = "edited by someone else";
export const KEEPS_CHANGING = "Others keep changing this image. Try again.";

// Two annotations of one image, to choose from.
export const conflict = ({ who, name, ago, revision }) => `${who} changed this image, ${name}, ${ago}; it is at revision ${revision}. Your change is not saved.`;
export const WITHOUT_CONCEPT = "without concept";
export const NOT_ANNOTATED = "not annotated";
export const NO_CONCEPT = "no concept";
export const REMOVED_CONCEPT = "removed concept";
export const boxes = (count, names) => `${count ? `${counted(count, "box", "boxes")}: ` : ""}${names.join(", ")}`;
