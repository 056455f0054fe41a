// Sends an archive as the body of one call, showing how much is sent, and goes to its import.
import { newKey, Problem, problemOf, ownPage } from "../api.js";
import * as messages from "./messages.js";
import { clearProblem, showProblem } from "../problems.js";

const form = document.querySelector("form[data-import-form]");
const sent = form.querySelector("[data-sent]");
let unanswered;

// Without scripts it is the position that the page shows; the page moves on, and so does now.
document.querySelector("[data-or-now]").value = "";

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (form.ariaBusy === "true") return;
  clearProblem(form);
  const [file] = form.elements.namedItem("body").files;
  if (!file) return showProblem(form, missing());
  form.ariaBusy = "true";
  addEventListener("beforeunload", warn);
  try {
    const url = `${form.dataset.importForm}?${asked(file)}`;
    const answer = await send(url, file, keyOf(url, file));
    unanswered = undefined;
    removeEventListener("beforeunload", warn);
    location.assign(`${location.pathname}?at_least=${answer.position}#import-${answer.id}`);
  } catch (problem) {
    removeEventListener("beforeunload", warn);
    form.ariaBusy = null;
    sent.hidden = true;
    if (!(problem instanceof Problem)) throw problem;
    if (problem.answered) unanswered = undefined;
    showProblem(form, problem);
  }
});

function asked(file) {
  const query = new URLSearchParams({ name: file.name });
  for (const control of form.elements) {
    if (control.type === "checkbox") query.set(control.name, control.checked);
    else if (control.name && control.type !== "file" && control.value) query.set(control.name, control.value);
  }
  return query;
}

// The same archive keeps its key until it is answered, so that it is imported once.
function keyOf(url, file) {
  const content = [url, file.size, file.lastModified].join(" ");
  if (unanswered?.content !== content) unanswered = { content, key: newKey() };
  return unanswered.key;
}

// fetch does not tell how much of a body is sent.
function send(url, file, key) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", url);
    for (const [name, value] of Object.entries(ownPage())) request.setRequestHeader(name, value);
    request.setRequestHeader("Idempotency-Key", key);
    request.setRequestHeader("Accept", "application/json");
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.responseType = "json";
    request.upload.addEventListener("progress", ({ loaded, total }) => report(loaded, total));
    request.addEventListener("load", () => {
      const { status, response } = request;
      if (status < 300) resolve(response);
      else reject(problemOf(status, response ?? {}));
    });
    request.addEventListener("error", () => reject(unreachable(file)));
    report(0, file.size);
    request.send(file);
  });
}

function report(loaded, total) {
  sent.hidden = false;
  const share = total ? loaded / total : 0;
  sent.querySelector("progress").value = share;
  sent.querySelector("span").textContent = loaded < total ? messages.sent(share, total) : messages.SENT;
}

function missing() {
  return new Problem("", [{ field: "body", detail: messages.CHOOSE_AN_ARCHIVE }]);
}

function unreachable(file) {
  return new Problem(messages.unreachable(file.name), [], false);
}

function warn(event) {
  event.preventDefault();
}
