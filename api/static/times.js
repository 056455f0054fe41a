// Relative times and running durations go on; the server's clock is the one that counts.

const skew = Date.parse(document.documentElement.dataset.now) - Date.now();
const SPANS = [[86400, "day"], [3600, "h"], [60, "min"], [1, "s"]];

export function tick() {
  setInterval(() => {
    for (const time of document.querySelectorAll("time")) {
      const { since } = time.dataset;
      if (since) write(time, lasting(secondsSince(since)));
      else if (!time.dateTime.startsWith("PT")) write(time, ago(time.dateTime));
    }
  }, 1000);
}

export function ago(at) {
  const seconds = secondsSince(at);
  const away = Math.abs(seconds);
  if (away < 5) return "just now";
  if (away >= 30 * 86400) return at.slice(0, 10);
  const [span, unit] = SPANS.find(([size]) => away >= size);
  const count = Math.floor(away / span);
  const told = `${count} ${unit}${unit === "day" && count > 1 ? "s" : ""}`;
  return seconds > 0 ? `${told} ago` : `in ${told}`;
}

export function lasting(seconds) {
  const whole = Math.max(Math.round(seconds), 0);
  const pairs = [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]];
  for (const [span, unit, smaller, smallerUnit] of pairs) {
    if (whole >= span) {
      return `${Math.floor(whole / span)} ${unit} ${Math.floor((whole % span) / smaller)} ${smallerUnit}`;
    }
  }
  return `${whole} s`;
}

export function exact(at) {
  return `${new Date(at).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

// A <time> that says how long ago, or in how long, and exactly when on hover.
export function timeElement(at) {
  const time = document.createElement("time");
  time.dateTime = new Date(at).toISOString();
  time.title = exact(at);
  time.textContent = ago(time.dateTime);
  return time;
}

function secondsSince(at) {
  return (Date.now() + skew - Date.parse(at)) / 1000;
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
