// A version as it goes on: its events move the step bar and extend the charts.
import { call } from "../api.js";
import { showConnection } from "../connection.js";
import { startCharts } from "./charts.js";
import { gapSentence } from "./gap.js";
import { overlayOn } from "./overlay.js";
import { refresh } from "../parts.js";
import { showProgress } from "./steps.js";
import { showWorst } from "./worst.js";

const RETRY_MS = 3000;
const POINTS = 700;
const place = document.querySelector("[data-follow], [data-then]");
const gap = document.querySelector("[data-gap]");

let iterationsPerEpoch = Number(place.dataset.iterationsPerEpoch);
let shown = place.dataset.shown;
let waitingFor = place.dataset.waitingFor;
let charts = startCharts();
overlayOn(charts.charts);
let waiting = [];

function follow() {
  const source = new EventSource(`${place.dataset.follow}?points=${POINTS}`);
  source.onopen = () => showConnection("live");
  source.onerror = () => {
    showConnection("lost");
    // The browser comes back by itself from where it was, unless the server refused it.
    if (source.readyState !== EventSource.CLOSED) return;
    setTimeout(() => {
      charts = startCharts();
      overlayOn(charts.charts);
      follow();
    }, RETRY_MS);
  };
  source.addEventListener("metrics", (event) => {
    waiting.push(...JSON.parse(event.data));
    draw();
    reflect(event);
  });
  source.addEventListener("progress", (event) => {
    const progress = JSON.parse(event.data);
    iterationsPerEpoch = progress.iterations_per_epoch ?? iterationsPerEpoch;
    showProgress(progress);
    draw();
    reflect(event);
    if (told(progress) !== shown) {
      shown = told(progress);
      refresh(event.lastEventId);
    }
  });
  source.addEventListener("waiting", (event) => {
    const { trainings_before: before, workers_online: workers } = JSON.parse(event.data);
    if (`${before} ${workers ?? "None"}` === waitingFor) return;
    waitingFor = `${before} ${workers ?? "None"}`;
    refresh(event.lastEventId);
  });
  source.addEventListener("end", async (event) => {
    source.close();
    draw();
    await refresh(event.lastEventId);
    showConnection("finished");
    showWorst();
    document.body.dataset.ended = event.lastEventId;
  });
}

// As of a past moment nothing moves: the charts show what there was.
async function showThen() {
  const { series } = await call("GET", `${place.dataset.then}&points=${POINTS}`);
  waiting.push(...series);
  draw();
  showConnection("past");
}

// Before an epoch's length is known, an iteration has no place on an axis of epochs.
function draw() {
  if (!iterationsPerEpoch || !waiting.length) return;
  for (const series of waiting.splice(0)) charts.extend(series, iterationsPerEpoch);
  const sentence = gapSentence(charts.history());
  if (gap.textContent !== sentence) gap.textContent = sentence;
  gap.hidden = !sentence;
}

// What the buttons depend on, as data-shown has it.
function told({ status, stop_requested: stopping }) {
  return `${status} ${stopping}`;
}

function reflect(event) {
  document.querySelector("[data-position]").textContent = event.lastEventId;
}

if (place.dataset.then) showThen();
else follow();
