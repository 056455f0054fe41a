// Uploads files in batches; each batch is one call, taken whole or not at all.
import { call, Problem } from "../api.js";
import * as messages from "./messages.js";
import { refresh } from "../parts.js";
import { clearProblem, showProblem } from "../problems.js";

const FILES_A_BATCH = 200;
const BYTES_A_BATCH = 200_000_000;
const UPLOADED = "uploaded";

const form = document.querySelector("form[data-upload]");
const input = form.elements.namedItem("files");
const shown = form.querySelector("[data-upload-progress]");

const folder = form.elements.namedItem("folder");
const zone = document.querySelector("[data-drop-zone]");

form.addEventListener("submit", (event) => {
  event.preventDefault();
  begin([...input.files, ...folder.files].filter(isImage));
});

// Files and folders may be dropped anywhere on the page.
const dropsFiles = (event) => event.dataTransfer?.types.includes("Files");
addEventListener("dragover", (event) => {
  if (!dropsFiles(event)) return;
  event.preventDefault();
  zone.hidden = false;
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) zone.hidden = true;
});
addEventListener("drop", async (event) => {
  if (!dropsFiles(event)) return;
  event.preventDefault();
  zone.hidden = true;
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const files = entries.length ? (await Promise.all(entries.map(filesIn))).flat() : [...event.dataTransfer.files];
  begin(files.filter(isImage));
});

// What a folder holds besides images is left alone.
function isImage({ name, type }) {
  return type.startsWith("image/") || /\.(jpe?g|png|webp|tiff?|bmp|gif)$/i.test(name);
}

async function filesIn(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const found = [];
  // A reader gives some entries at a time.
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return (await Promise.all(found.map(filesIn))).flat();
    found.push(...some);
  }
}

async function begin(files) {
  if (form.ariaBusy === "true") return;
  clearProblem(form);
  if (!files.length) {
    showProblem(form, new Problem(messages.CHOOSE_FILES));
    return;
  }
  form.ariaBusy = "true";
  addEventListener("beforeunload", warn);
  const { position, refused, problem } = await upload(files);
  removeEventListener("beforeunload", warn);
  form.ariaBusy = null;
  showRefused(refused);
  if (problem) showProblem(form, problem);
  else if (refused.length) refresh(position);
  else {
    sessionStorage.setItem(UPLOADED, String(files.length));
    location.assign(`${location.pathname}?at_least=${position}#images`);
  }
}

// After an upload the page says so, once.
const uploaded = sessionStorage.getItem(UPLOADED);
if (uploaded) {
  sessionStorage.removeItem(UPLOADED);
  shown.hidden = false;
  shown.querySelector("progress").value = 1;
  shown.querySelector("span").textContent = messages.uploaded(Number(uploaded));
}

// A batch is taken whole or not at all, so it is sent again without the files that are refused.
async function upload(files) {
  const refused = [];
  let [done, position] = [0, undefined];
  for (const batch of batches(files)) {
    let left = batch;
    while (left.length) {
      report(done, files.length, refused.length);
      const body = new FormData();
      for (const file of left) body.append("files", file, file.name);
      try {
        ({ position } = await call("POST", form.dataset.upload, { body }));
        done += left.length;
        break;
      } catch (problem) {
        if (!(problem instanceof Problem)) throw problem;
        const wrong = new Map(problem.errors.map(({ field, detail }) => [field, detail]));
        const kept = left.filter(({ name }) => !wrong.has(name));
        if (kept.length === left.length) return { position, refused, problem };
        refused.push(...left.filter(({ name }) => wrong.has(name)).map(({ name }) => [name, wrong.get(name)]));
        left = kept;
      }
    }
  }
  report(done, files.length, refused.length);
  return { position, refused };
}

function showRefused(refused) {
  const place = form.querySelector("[data-refused]");
  place.hidden = !refused.length;
  place.querySelector("ul").replaceChildren(...refused.map(([, detail]) => {
    return Object.assign(document.createElement("li"), { textContent: detail });
  }));
}

function* batches(files) {
  let batch = [];
  let bytes = 0;
  for (const file of files) {
    if (batch.length === FILES_A_BATCH || (batch.length && bytes + file.size > BYTES_A_BATCH)) {
      yield batch;
      [batch, bytes] = [[], 0];
    }
    batch.push(file);
    bytes += file.size;
  }
  if (batch.length) yield batch;
}

function report(done, all, refused) {
  shown.hidden = false;
  shown.querySelector("progress").value = (done + refused) / all;
  shown.querySelector("span").textContent = messages.uploading(done, all, refused);
}

function warn(event) {
  event.preventDefault();
}
