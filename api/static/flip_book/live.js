// The version's stream of events: epochs recorded anew, until the training ends.
const RETRY_MS = 3000;

export function follow(url, place, extend) {
  const say = (text) => {
    place.textContent = text;
    place.dataset.state = text.split(/[ .:]/)[0].toLowerCase();
  };
  const source = new EventSource(url);
  source.onopen = () => say("Live");
  source.onerror = () => {
    say("Connection lost. Reconnecting…");
    // The browser comes back by itself, unless the server refused it.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => follow(url, place, extend), RETRY_MS);
  };
  source.addEventListener("flip_book", (event) => {
    extend(JSON.parse(event.data).map(({ epoch }) => epoch));
    document.querySelector("[data-position]").textContent = event.lastEventId;
  });
  source.addEventListener("end", () => {
    source.close();
    say("Training ended: no more epochs");
  });
}
