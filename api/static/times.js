// Relative times and running durations go on; the server's clock is the one that counts.

const skew = Date.parse(document.documentElement.dataset.now) - Date.now();
const ZONE = new Intl.DateTimeFormat("en", { timeZoneName: "short" });
const SPANS = [[86400, "day"], [3600, "h"], [60, "min"], [1, "s"]];

export function tick() {
  update();
  setInterval(update, 1000);
  document.addEventListener("pointerover", ({ target }) => {
    const time = target.closest("time");
    if (time) localise(time);
  });
}

function update() {
  for (const time of document.querySelectorAll("time")) {
    const { since } = time.dataset;
    if ("exact" in time.dataset) write(time, exact(time.dateTime));
    else if (since) write(time, lasting(secondsSince(since)));
    else if (time.dateTime && !time.dateTime.startsWith("PT")) write(time, ago(time.dateTime));
  }
}

// What the server renders is exact in UTC; only the browser knows the local time. It is said once somebody
// points at it: until then a live page's parts are as the server sent them, and need no replacing.
function localise(time) {
  const { since, from, to } = time.dataset;
  const title = from ? `${exact(from)} to ${exact(to)}` : since ? `since ${exact(since)}` : time.dateTime && exact(time.dateTime);
  if (title && time.title !== title) time.title = title;
}

export function ago(at) {
  const seconds = secondsSince(at);
  const away = Math.abs(seconds);
  if (away < 5) return "just now";
  if (away >= 30 * 86400) return exact(at).slice(0, 10);
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

// A duration that is only known roughly: without its smaller unit from ten of the larger one.
export function estimate(seconds) {
  const [larger, unit, ...smaller] = lasting(seconds).split(" ");
  return (Number(larger) >= 10 ? [larger, unit] : [larger, unit, ...smaller]).join(" ");
}

// Exactly when: the local time, and that of UTC beside it.
export function exact(at) {
  const date = new Date(at);
  const utc = date.toISOString().slice(0, 19).replace("T", " ");
  const away = date.getTimezoneOffset();
  if (!away) return `${utc} UTC`;
  const local = new Date(date - 60_000 * away).toISOString().slice(0, 19).replace("T", " ");
  const zone = ZONE.formatToParts(date).find(({ type }) => type === "timeZoneName").value;
  return `${local} ${zone} (${local.slice(0, 10) === utc.slice(0, 10) ? utc.slice(11) : utc} UTC)`;
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
