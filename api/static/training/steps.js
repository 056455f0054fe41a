// The step progress bar, and what is known of the whole.
import * as messages from "./messages.js";
import { percent } from "../numbers.js";
import { timeElement } from "../times.js";

export function showProgress(progress) {
  const card = document.getElementById("progress");
  const whole = card.querySelector(".card-head .progress");
  whole.querySelector("progress").value = progress.progress;
  whole.querySelector("[data-percent]").textContent = percent(progress.progress);
  const { iterations, iterations_done: done, seconds_left: left } = progress;
  text(card.querySelector("[data-counts]"), iterations ? messages.iterations(done, iterations) : "");
  text(card.querySelector("[data-left]"), left === null ? "" : messages.left(left));
  for (const step of progress.steps) showStep(card.querySelector(`[data-step="${step.step}"]`), step);
  const badge = document.querySelector("[data-follow] [data-status]");
  badge.className = `badge ${progress.status}`;
  badge.dataset.status = progress.status;
  text(badge, progress.status);
  const reason = document.querySelector("[data-reason]");
  text(reason, progress.reason ?? "");
  reason.hidden = !progress.reason;
}

function showStep(item, { status, fraction, started_at: start, ended_at: end }) {
  const of = (name) => item.querySelector(`[data-of="${name}"]`);
  item.dataset.state = status;
  item.querySelector("progress").value = status === "done" ? 1 : fraction;
  text(of("state"), status);
  text(of("fraction"), status === "running" && fraction ? percent(fraction) : "");
  of("start").replaceChildren(...(start ? [timeElement(start)] : []));
  text(of("length"), start && end ? messages.took((Date.parse(end) - Date.parse(start)) / 1000) : "");
}

function text(element, content) {
  if (element.textContent !== content) element.textContent = content;
}
