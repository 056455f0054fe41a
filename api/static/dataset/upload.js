// Uploads files in batches; each batch is one call, taken whole or not at all.
import { call, Problem } from "../api.js";
import { clearProblem, showProblem } from "../problems.js";

const FILES_A_BATCH = 200;
const BYTES_A_BATCH = 200_000_000;

const form = document.querySelector("form[data-upload]");
const input = form.elements.namedItem("files");
const shown = form.querySelector("[data-upload-progress]");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (form.ariaBusy === "true") return;
  clearProblem(form);
  const files = [...input.files];
  if (!files.length) return showProblem(form, new Problem("Choose one or many image files first."));
  form.ariaBusy = "true";
  addEventListener("beforeunload", warn);
  const position = await upload(files);
  removeEventListener("beforeunload", warn);
  form.ariaBusy = null;
  if (position) location.assign(`${location.pathname}?at_least=${position}#images`);
});

// Returns the log's position after the last batch, or undefined where one was refused.
async function upload(files) {
  let done = 0;
  for (const batch of batches(files)) {
    report(done, files.length);
    const body = new FormData();
    for (const file of batch) body.append("files", file, file.name);
    try {
      const { position } = await call("POST", form.dataset.upload, { body });
      done += batch.length;
      if (done === files.length) return position;
    } catch (problem) {
      const kept = done ? ` ${done} files before them are in.` : "";
      showProblem(form, new Problem(`${problem.message}${kept} Leave these out and upload the rest again: nothing is doubled.`));
      return undefined;
    }
  }
  return undefined;
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

function report(done, all) {
  shown.hidden = false;
  shown.querySelector("progress").value = done / all;
  shown.querySelector("span").textContent = `${done} of ${all} files`;
}

function warn(event) {
  event.preventDefault();
}
