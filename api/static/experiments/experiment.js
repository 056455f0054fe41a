// An experiment as it goes on: whenever it has moved, the parts of the page and the charts do.
import { call, Problem } from "../api.js";
import { showConnection } from "../connection.js";
import { refresh } from "../parts.js";
import { drawCharts, redraw } from "./charts.js";
import { keepChoice, showChoice } from "./choice.js";
import * as messages from "./messages.js";

const RETRY_MS = 3000;
// A page that is slow to make is asked for less often.
const REST = 3;
const place = document.querySelector("[data-experiment]");
const labels = JSON.parse(place.dataset.labels);

let shown = null;
let source = null;
let wanted = null;
let busy = false;

function follow() {
  source = new EventSource(`${place.dataset.experiment}/events`);
  source.onopen = () => showConnection("live");
  source.onerror = () => {
    showConnection("lost");
    // The browser comes back by itself, unless the server refused it.
    if (source.readyState === EventSource.CLOSED) setTimeout(follow, RETRY_MS);
  };
  source.addEventListener("experiment", (event) => {
    wanted = { experiment: JSON.parse(event.data), position: event.lastEventId };
    update();
  });
  source.addEventListener("end", (event) => {
    source.close();
    wanted = { ...wanted, position: event.lastEventId, ended: true };
    update();
  });
}

// One update at a time, of the newest state only.
async function update() {
  if (busy) return;
  busy = true;
  while (wanted) {
    const { experiment, position, ended } = wanted;
    wanted = null;
    shown = experiment ?? shown;
    const began = performance.now();
    try {
      await Promise.all([refresh(position), draw(shown, { at_least: position })]);
      if (source.readyState === EventSource.OPEN) showConnection("live");
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      showConnection("lost", messages.outdated(problem.message));
    }
    showChoice();
    if (ended) {
      showConnection("finished");
      document.body.dataset.ended = position;
    } else {
      await new Promise((resolve) => setTimeout(resolve, REST * (performance.now() - began)));
    }
  }
  busy = false;
}

async function draw(experiment, query) {
  const at = new URLSearchParams(query);
  const [{ items: trials }, { curves }] = await Promise.all([
    call("GET", `${place.dataset.experiment}/trials?${at}`),
    call("GET", `${place.dataset.experiment}/curves?${at}`),
  ]);
  drawCharts({ experiment, trials, curves, labels });
}

// As of a past moment nothing moves: the charts show what there was.
async function showThen(position) {
  const { experiment } = await call("GET", `${place.dataset.experiment}?as_of=${position}`);
  await draw(experiment, { as_of: position });
  showConnection("past");
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
keepChoice();
if (place.dataset.asOf) showThen(place.dataset.asOf);
else follow();
