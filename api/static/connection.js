// Whether the server answers, and whether the session still holds: a page that is cut off says so within
// five seconds, and one whose session has ended leads to sign-in and stays as it is.
import { signInAgain } from "./access/sign_in_again.js";

export const OFFLINE = "Offline. This page may be outdated.";
export const ENDED = "Your session has expired. Sign in to see updates.";
const EVERY_MS = 3000;
const LONGEST_MS = 2000;

export function say(text) {
  const place = document.querySelector("[data-connection]");
  if (place.dataset.connection === text) return;
  place.dataset.connection = text;
  place.replaceChildren(text);
  if (text !== ENDED) return;
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: "Sign in" });
  button.addEventListener("click", async () => (await signInAgain()) && say(""));
  place.append(" ", button);
}

// `restored()` is called once the server answers again.
export function watchConnection(restored) {
  const look = async () => {
    if (!document.hidden) {
      const said = document.querySelector("[data-connection]").dataset.connection;
      if (!(await answers())) say(OFFLINE);
      else if (said === OFFLINE) {
        say("");
        restored();
      }
    }
    setTimeout(look, EVERY_MS);
  };
  addEventListener("offline", () => say(OFFLINE));
  setTimeout(look, EVERY_MS);
}

async function answers() {
  try {
    await fetch("/health/live", { cache: "no-store", signal: AbortSignal.timeout(LONGEST_MS) });
    return true;
  } catch {
    return false;
  }
}
