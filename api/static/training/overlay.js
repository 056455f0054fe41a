// Curves of other versions, drawn over those of this one. Which ones is in the address.
import { call, Problem } from "../api.js";
import * as messages from "./messages.js";
import { showProblem } from "../problems.js";

const INKS = ["--busy", "--bad", "--warn", "--good"];
const POINTS = 700;

const select = document.querySelector("[data-overlay]");
const chips = document.querySelector("[data-overlaid]");
const drawn = new Map();
let charts;

// The charts to draw in; after a lost connection they are others.
export function overlayOn(current) {
  charts = current;
  if (!select) return;
  for (const [id, overlaid] of drawn) draw(id, overlaid);
  select.onchange = () => {
    if (select.value) add(select.value);
    select.value = "";
  };
  for (const id of select.dataset.overlay.split(",").filter(Boolean)) if (!drawn.has(id)) add(id);
}

async function add(id) {
  const option = [...select.options].find((one) => one.value === id);
  const ink = INKS.find((one) => ![...drawn.values()].some((overlaid) => overlaid.ink === one));
  if (!option || drawn.has(id) || !ink) return;
  const overlaid = { name: option.textContent, ink, series: [], perEpoch: null };
  drawn.set(id, overlaid);
  try {
    const [{ series }, { progress }] = await Promise.all([
      call("GET", `/api/v1/versions/${id}/metrics?points=${POINTS}`),
      call("GET", `/api/v1/versions/${id}/progress`),
    ]);
    Object.assign(overlaid, { series, perEpoch: progress.iterations_per_epoch });
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    drawn.delete(id);
    showProblem(document.getElementById("metrics"), problem);
    return;
  }
  if (drawn.has(id)) draw(id, overlaid);
  show();
}

function draw(id, { name, ink, series, perEpoch }) {
  if (!perEpoch) return;
  for (const { metric, iterations, values, smoothed } of series) {
    const chart = charts.get(metric);
    const x = chart?.axis === "epoch" ? iterations.map((iteration) => iteration / perEpoch) : iterations;
    chart?.overlay(id, { name, ink, x, y: smoothed ?? values });
  }
}

// A button for each, in its colour, that takes it away again.
function show() {
  chips.replaceChildren(...[...drawn].map(([id, { name, ink }]) => {
    const chip = Object.assign(document.createElement("button"), { type: "button", className: "chip link", textContent: messages.overlaid(name), ariaLabel: messages.removeOverlaid(name) });
    chip.style.borderLeft = `.3rem solid var(${ink})`;
    chip.onclick = () => {
      drawn.delete(id);
      for (const chart of charts.values()) chart.overlay(id);
      show();
      select.focus();
    };
    return chip;
  }));
  select.disabled = drawn.size >= INKS.length;
  const address = new URL(location);
  address.searchParams.delete("overlay");
  if (drawn.size) address.searchParams.set("overlay", [...drawn.keys()].join(","));
  history.replaceState(history.state, "", address);
}
