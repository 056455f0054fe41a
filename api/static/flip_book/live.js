// The version's stream of events: epochs recorded anew, until the training ends.
import { showConnection } from "../connection.js";
import { ENDED } from "./messages.js";

const RETRY_MS = 3000;

export function follow(url, extend) {
  const source = new EventSource(url);
  source.onopen = () => showConnection("live");
  source.onerror = () => {
    showConnection("lost");
    // The browser comes back by itself, unless the server refused it.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => follow(url, extend), RETRY_MS);
  };
  source.addEventListener("flip_book", (event) => {
    extend(JSON.parse(event.data).map(({ epoch }) => epoch));
    document.querySelector("[data-position]").textContent = event.lastEventId;
  });
  source.addEventListener("end", () => {
    source.close();
    showConnection("finished", ENDED);
  });
}
