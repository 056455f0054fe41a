// What the address keeps of the page: epoch, filters, lasso, order, page and the opened item.
const PAUSE_MS = 200;
let timer;

export function fromAddress() {
  return Object.fromEntries(new URLSearchParams(location.search));
}

// The address with these values, without those that are empty.
export function addressWith(values) {
  const url = new URL(location.href);
  for (const [name, value] of Object.entries(values)) {
    if (value === "" || value === null || value === undefined) url.searchParams.delete(name);
    else url.searchParams.set(name, value);
  }
  return url;
}

// Browsers refuse an address that changes with each frame.
export function keepAddress(values) {
  clearTimeout(timer);
  timer = setTimeout(() => history.replaceState(history.state, "", addressWith(values)), PAUSE_MS);
}
