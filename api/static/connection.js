// Whether the server answers, and whether the session still holds: a page that is cut off says so within
// five seconds, and one whose session has ended leads to sign-in and stays as it is.
import { signInAgain } from "./access/sign_in_again.js";
import { CONNECTIONS, OFFLINE, SESSION_ENDED, SIGN_IN } from "./messages.js";

const EVERY_MS = 3000;
const LONGEST_MS = 2000;

export function say(text) {
  const place = document.querySelector("[data-connection]");
  if (place.dataset.connection === text) return;
  place.dataset.connection = text;
  place.replaceChildren(text);
  if (text !== SESSION_ENDED) return;
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: SIGN_IN });
  button.addEventListener("click", async () => (await signInAgain()) && say(""));
  place.append(" ", button);
}

// How a page is connected to what it follows, by a key of CONNECTIONS; `text` is more than its own.
export function showConnection(state, text = CONNECTIONS[state]) {
  const place = document.querySelector("[data-live]");
  place.textContent = text;
  place.dataset.state = state;
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
