// Texts of the scripts of signing in and of the access page, in one place for translation.

export const grant = (account) => `Grant ${account} a role`;
export const REPLACE = { yes: "Replace session", no: "Keep session" };
export const question = (problem) => `${problem}?`;
export const SESSION_ENDED = "Your session has expired. Sign in to continue: nothing on this page is lost.";
export const NOT_SIGNED_IN = "You are not signed in yet.";
export const NO_ANSWER = "The server does not answer. Try again.";
