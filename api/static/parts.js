// Live parts of a page: elements with data-part are replaced by what the server now says of them.
// Rows stay, only their cells change, unless rows came or went.
import { say } from "./connection.js";
import { keepOwnRules } from "./forms.js";
import { OFFLINE, SESSION_ENDED } from "./messages.js";

const SLOWEST = 10;

export function keepLive() {
  const main = document.querySelector("main[data-refresh]");
  if (!main) return;
  let seconds = Number(main.dataset.refresh);
  const again = async () => {
    let spent = 0;
    if (!document.hidden) {
      const began = performance.now();
      seconds = (await refresh()) ?? seconds;
      spent = (performance.now() - began) / 1000;
    }
    // A page that is slow to make is asked for less often.
    setTimeout(again, 1000 * Math.max(seconds, SLOWEST * spent));
  };
  setTimeout(again, 1000 * seconds);
}

// Replace the parts that have changed; how soon to look again is returned, if the page says so.
export async function refresh(atLeast) {
  const url = new URL(location.href);
  if (atLeast) url.searchParams.set("at_least", atLeast);
  try {
    const response = await fetch(url, { headers: { Accept: "text/html" } });
    if (!response.ok) throw new Error(response.statusText);
    if (response.redirected && new URL(response.url).pathname === "/login") {
      say(SESSION_ENDED);
      return undefined;
    }
    // What the server renders is escaped, and scripts of a parsed document do not run.
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    // As the forms that are there: those that are alike stay, with what is typed into them.
    keepOwnRules(fresh);
    mergeAll(document.body, fresh.body);
    say("");
    document.dispatchEvent(new Event("refreshed"));
    return Number(fresh.querySelector("main").dataset.refresh) || undefined;
  } catch {
    say(OFFLINE);
    return undefined;
  }
}

function mergeAll(old, fresh) {
  const [before, after] = [partsIn(old), partsIn(fresh)];
  if (keys(before) !== keys(after)) return false;
  before.forEach((part, index) => merge(part, after[index]));
  return true;
}

function merge(old, fresh) {
  // What the user has opened stays open.
  const opened = [...old.querySelectorAll("details")];
  if (opened.length === fresh.querySelectorAll("details").length) {
    fresh.querySelectorAll("details").forEach((details, at) => details.toggleAttribute("open", opened[at].open));
  }
  if (old.isEqualNode(fresh)) return;
  if (partsIn(old).length && mergeAll(old, fresh)) return;
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  old.replaceWith(fresh);
  if (focused) [...fresh.querySelectorAll(focused.tagName)].find((one) => alike(one, focused))?.focus();
}

// The parts directly within an element, not those within its parts.
function partsIn(element) {
  const inner = [...element.querySelectorAll("[data-part]")];
  return inner.filter((part) => {
    const around = part.parentElement.closest("[data-part]");
    return around === (element.matches("[data-part]") ? element : null);
  });
}

function keys(parts) {
  return parts.map((part) => part.dataset.part).join("\n");
}

function alike(one, other) {
  const told = (element) => [element.textContent, element.ariaLabel, element.href].join("\n");
  return told(one) === told(other);
}
