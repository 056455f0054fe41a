// Texts of the scripts of all pages, in one place for translation; those of a capability are in its folder.
import { number } from "./numbers.js";

export const NO_ANSWER = "The server does not answer. Try again: it is safe to retry.";
export const refused = (status) => `The server refused with status ${status}.`;
export const OFFLINE = "Offline. This page may be outdated.";
export const SESSION_ENDED = "Your session has expired. Sign in to see updates.";
export const SIGN_IN = "Sign in";

// What a page that follows something shows of its connection, by its state.
export const CONNECTIONS = {
  live: "Live",
  lost: "Connection lost. Reconnecting…",
  finished: "Finished",
  past: "Past state",
};

export const CANCEL = "Cancel";
export const rename = (what) => `Rename the ${what}`;
export const ENTER_A_NUMBER = "enter a number";
export const GIVE_BOTH_ENDS = "give both ends";
export const noNumber = (word) => `${word} is not a number`;
export const SHOWN_BEFORE = "It was already shown, and cannot be shown again: create another one.";

export const added = (name) => `${name} added at the end`;
export const removed = (name) => `${name} removed`;
export const moved = (name, place) => `${name} is now number ${place}`;

export const NO_CHARTS = "The chart’s JavaScript is not installed: run make setup.";

// In place of the time of a position, at the beginning of the log.
export const BEFORE_ALL = "before the first event";

// How many rows are chosen to be compared.
export const chosen = (count, { few, most }) => `${number(count)} chosen${count < few ? "; choose another" : count >= most ? ", the most that can be compared" : ""}`;
