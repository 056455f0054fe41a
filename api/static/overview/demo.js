// The demo data: drawings of shapes, made here and sent by the documented calls of the API.
import { call, Problem } from "../api.js";
import * as messages from "./messages.js";
import { showProblem } from "../problems.js";

const SHAPES = ["circle", "square", "triangle"];
const IMAGES = 120;
const UNANNOTATED = 12;
const SIDE = 48;
const SHARE_OF_VALIDATION = 0.25;

// The same numbers each time (mulberry32), so that each load makes the same images.
function randomNumbers(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

function draw(shape, random) {
  const canvas = Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE });
  const context = canvas.getContext("2d");
  const between = (least, most) => least + random() * (most - least);
  context.fillStyle = `hsl(${Math.floor(random() * 360)} 25% ${Math.floor(between(80, 95))}%)`;
  context.fillRect(0, 0, SIDE, SIDE);
  const radius = between(9, 16);
  context.translate(between(radius, SIDE - radius), between(radius, SIDE - radius));
  context.rotate(between(0, Math.PI));
  context.fillStyle = `hsl(${Math.floor(random() * 360)} 60% 35%)`;
  context.beginPath();
  if (shape === "circle") context.arc(0, 0, radius, 0, 2 * Math.PI);
  else {
    const corners = shape === "square" ? 4 : 3;
    for (let corner = 0; corner < corners; corner += 1) {
      const angle = (2 * Math.PI * corner) / corners;
      context.lineTo(radius * Math.cos(angle), radius * Math.sin(angle));
    }
  }
  context.fill();
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

async function load(report) {
  report(messages.DRAWING);
  const random = randomNumbers(1);
  const form = new FormData();
  const shapes = [];
  for (let number = 0; number < IMAGES; number += 1) {
    const shape = SHAPES[number % SHAPES.length];
    shapes.push(shape);
    form.append("files", await draw(shape, random), `shape-${String(number).padStart(3, "0")}.png`);
  }
  const { id: project } = await call("POST", "/api/v1/projects", { body: { name: messages.PROJECT } });
  report(messages.UPLOADING);
  const { ids: images } = await call("POST", `/api/v1/projects/${project}/images`, { body: form });
  report(messages.ANNOTATING);
  const { id: view } = await call("POST", `/api/v1/projects/${project}/views`, { body: { name: messages.VIEW, kind: "classification" } });
  const { ids: concepts } = await call("POST", `/api/v1/views/${view}/concepts`, { body: { labels: SHAPES } });
  const annotated = images.slice(0, IMAGES - UNANNOTATED).map((image, at) => ({
    image_id: image, annotations: [{ concept_id: concepts[SHAPES.indexOf(shapes[at])] }],
  }));
  await call("POST", `/api/v1/views/${view}/annotations`, { body: { images: annotated } });
  const split = { size: SHARE_OF_VALIDATION, stratify_by: view };
  const { position } = await call("POST", `/api/v1/projects/${project}/validation-split`, { body: split });
  location.assign(`/projects/${project}?at_least=${position}`);
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-demo]");
  if (!button || button.disabled) return;
  button.disabled = true;
  try {
    await load((text) => {
      const shown = document.querySelector("[data-demo-progress]");
      if (shown) shown.textContent = text;
    });
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    button.disabled = false;
    showProblem({ elements: [], querySelector: () => null }, problem);
  }
});
