// Annotating: what is said of the image on the page, from keys and buttons to one call a save.
import { call, Problem } from "../api.js";
import { Boxes } from "./annotate_boxes.js";
import { decided } from "./annotate_conflict.js";
import { onKeys } from "./annotate_keys.js";
import { look, meaning, saidOf, Saving } from "./annotate_saving.js";
import { fitPicture, showPicture } from "./annotate_picture.js";
import { refresh } from "../parts.js";
import { clearProblem, showProblem } from "../problems.js";

const place = document.querySelector("[data-annotate]");
const work = JSON.parse(place.dataset.annotate);
const { view_id: view, project_id: project, kind, labels, among } = work;
const one = (name) => place.querySelector(`[data-${name}]`);
const frame = one("frame");
const saving = new Saving(view);

let image;
let said;
let kept;
let before = [];
let busy = false;
let saved = 0;
let current = Object.keys(labels)[0];

const boxes = kind === "detection" && new Boxes(frame, one("boxes"), {
  labels,
  drawn: () => current,
  changed: (items) => say({ annotations: items, without_concept: false }),
  selected: (item) => {
    if (item && item.concept_id in labels) current = item.concept_id;
    showButtons();
  },
});

// Begin with an image, as the server has it.
function begin(next) {
  image = next;
  before = [];
  saving.begin(image);
  const known = image.annotations.filter(({ concept_id: id }) => id in labels);
  said = kept = { ...saidOf(image), annotations: known };
  one("removed").hidden = known.length === image.annotations.length;
  one("name").textContent = image.file_name;
  one("split").textContent = image.split;
  clearProblem(place);
  showPicture(frame, image);
  one("details").href = `/images/${image.image_id}`;
  boxes && boxes.show(said.annotations);
  showState(saving.base.annotations.length || said.without_concept ? "saved" : "not annotated yet");
}

// Leaving out a removed concept is no change of the user's: looking at an image saves nothing.
const changed = () => meaning(said) !== meaning(kept);

function say(next) {
  if (busy || meaning(next) === meaning(said)) return;
  before.push(said);
  said = next;
  showState(changed() ? "not saved yet" : "saved");
}

function undo() {
  if (busy || !before.length) return;
  said = before.pop();
  boxes && boxes.show(said.annotations);
  showState(changed() ? "not saved yet" : "saved");
  if (kind === "classification") save();
}

// A concept's key or button: what it means depends on the kind of view.
async function sayConcept(id) {
  if (busy) return;
  const has = said.annotations.some((annotation) => annotation.concept_id === id);
  if (kind === "detection") {
    current = id;
    if (!boxes.rename(id)) showButtons();
  } else if (kind === "tagging") {
    const others = said.annotations.filter((annotation) => annotation.concept_id !== id);
    say({ annotations: has ? others : [...others, { concept_id: id }], without_concept: false });
  } else {
    say({ annotations: [{ concept_id: id }], without_concept: false });
    await saveAnd("next-unannotated");
  }
}

function sayWithout() {
  if (kind === "classification" || busy) return;
  say({ annotations: [], without_concept: !said.without_concept });
  boxes && boxes.show(said.annotations);
}

// Resolves to whether the server has what is on the page.
async function save() {
  if (busy) return false;
  if (!changed()) return true;
  busy = true;
  clearProblem(place);
  showState("saving…");
  try {
    let done = await saving.save(said);
    while (done.theirs) {
      showState("someone was first");
      const choice = await decided(done.theirs, said, labels);
      if (choice === "theirs") {
        busy = false;
        begin(done.theirs);
        return false;
      }
      if (choice !== "mine") {
        showState("not saved: someone was first");
        return false;
      }
      saving.begin(done.theirs);
      if (!saving.differs(said)) break;
      done = await saving.save(said);
    }
    kept = said;
    saved = Math.max(saved, done.position ?? 0);
    showState("saved");
    one("removed").hidden = true;
    refresh(saved || undefined);
    return true;
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    showState("not saved");
    document.getElementById("problem").textContent = problem.message;
    document.getElementById("problem").hidden = false;
    return false;
  } finally {
    busy = false;
  }
}

async function saveAnd(where) {
  if (await save()) await go(where);
}

// previous, next, or one of them among the unannotated, which goes round.
async function go(where) {
  if (busy) return;
  const unannotated = where.endsWith("-unannotated");
  const newest = where.startsWith("previous");
  const { split } = among;
  const wanted = unannotated ? { ...(split && { split }), annotated: "false" } : among;
  try {
    const next = (await find(wanted, newest, image.added_position)) ?? (unannotated && (await find(wanted, newest)));
    if (next && next.image_id !== image.image_id) await open(next);
    else showState(unannotated ? "no other image is unannotated" : `there is no ${where} image`, true);
  } catch (problem) {
    showProblem({ elements: [], querySelector: () => null }, problem);
  }
}

async function find(wanted, newest, cursor) {
  const query = new URLSearchParams({ ...wanted, view_id: view, limit: 1, at_least: saved });
  if (newest) query.set("order", "newest");
  if (cursor !== undefined) query.set("cursor", cursor);
  const { items } = await call("GET", `/api/v1/projects/${project}/images?${query}`);
  return items[0];
}

async function open(next) {
  begin(next);
  const here = new URL(location.href);
  here.searchParams.set("image", next.image_id);
  history.pushState(null, "", here);
}

function showState(text, keep = false) {
  one("state").textContent = keep ? `${changed() ? "not saved yet" : "saved"}: ${text}` : text;
  place.dataset.state = changed() ? "changed" : "saved";
  showButtons();
}

function showButtons() {
  if (!said) return;
  const held = new Set(said.annotations.map((annotation) => annotation.concept_id));
  for (const button of place.querySelectorAll("[data-says]")) {
    const id = button.dataset.says;
    button.ariaPressed = String(kind === "detection" ? id === current : held.has(id));
  }
  const without = one("without");
  if (without) without.ariaPressed = String(said.without_concept);
}

const actions = {
  add: () => busy || boxes.add(),
  delete: () => busy || boxes.delete(),
  save: () => saveAnd("next-unannotated"),
  undo,
};

place.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  // A clicked button would take the next Enter for itself.
  if (event.detail) button.blur();
  const { says, go: where, do: action } = button.dataset;
  if (says) sayConcept(says);
  else if (where) saveAnd(where);
  else if (action) actions[action]();
  else if ("without" in button.dataset) sayWithout();
});
onKeys(one("shortcuts"), place, {
  ...actions, saveAndNext: actions.save, save, sayConcept, sayWithout, leave: saveAnd, boxes,
});
addEventListener("popstate", async () => {
  const id = new URL(location.href).searchParams.get("image") ?? work.image.image_id;
  if (id === image.image_id) return;
  if (await save()) begin(await look(id, view));
});
addEventListener("beforeunload", (event) => {
  if (busy || changed()) event.preventDefault();
});
fitPicture(frame);
begin(work.image);
