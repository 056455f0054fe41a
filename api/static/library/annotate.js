// Annotating: keys and buttons change the image that is shown; it is saved while the next one is.
import { Pictures } from "./annotate_ahead.js";
import { Boxes } from "./annotate_boxes.js";
import { showPressed } from "./annotate_buttons.js";
import { Crops } from "./annotate_crops.js";
import { Filmstrip } from "./annotate_filmstrip.js";
import { Changes } from "./annotate_history.js";
import { onKeys } from "./annotate_keys.js";
import { ofCrop, onlyThis, toggled, withCopied, withoutConcept } from "./annotate_labels.js";
import { Lists } from "./annotate_lists.js";
import { look, meaning } from "./annotate_saving.js";
import * as messages from "./messages.js";
import { Counts, showUnsaved as listUnsaved, stateOf } from "./annotate_status.js";
import { Suggestions } from "./annotate_suggestions.js";
import { review } from "./annotate_review.js";
import { Stage } from "./annotate_picture.js";
import { searchConcepts } from "./annotate_search.js";
import { Outbox, Work } from "./annotate_work.js";
import { showProblem } from "../problems.js";
import { beep } from "../sound.js";

const { NOTES } = messages;
const place = document.querySelector("[data-annotate]");
const begun = JSON.parse(place.dataset.annotate);
const { view_id: view, kind, crops: ofCrops, labels, image: first, saved_at: savedAt, back: cameFrom, suggests, queue, blind } = begun;
const one = (name) => place.querySelector(`[data-${name}]`);
const frame = one("frame");
const stage = new Stage(one("stage"), frame, (factor) => {
  one("zoom").textContent = factor === 1 ? messages.FIT : messages.zoomed(factor);
});
const works = new Map();
const pictures = new Pictures(first, one("picture"));
const outbox = new Outbox(saveMoved);
const counts = new Counts(() => outbox.position);
const lists = new Lists(begun, { works, pictures, position: () => outbox.position });
const seen = async (id) => (blind ? hidden(await look(id, view)) : look(id, view));
const hidden = (image) => ({ ...image, annotations: [], without_concept: false, reviewed_by: null });

// The work that is shown, or was last; `waiting` is whether no image is shown, since when one is.
let work;
// The work that was shown before it.
let before;
let waiting = true;
let shownAt = Infinity;
let trip = 0;
let done = false;
let note = NOTES.loading;
const changes = new Changes();
let current = Object.keys(labels)[0];

const boxes = kind === "detection" && new Boxes(frame, one("boxes"), {
  labels,
  drawn: () => current,
  changed: (items) => {
    hideBoxes(false);
    say({ annotations: items, without_concept: false });
  },
  selected: (item) => {
    if (item && item.concept_id in labels) choose(item.concept_id);
    showButtons();
  },
});

const crops = ofCrops && new Crops(frame, one("boxes"), { labels, selected: () => showButtons() });
// A list that is annotated blindly goes forward only.
const filmstrip = !blind && new Filmstrip(one("filmstrip"), {
  find: (query) => lists.find(query),
  isAnnotated: (row) => works.get(row.image_id)?.annotated ?? (row.annotations.length > 0 || row.without_concept),
});
const suggestions = suggests && new Suggestions({
  view, place, labels, boxes, changed: (moved) => moved === work && !waiting && showWork(),
});

// What the page has of an image is newer than a list while it is being saved, and where that failed.
function workOf(image) {
  const known = works.get(image.image_id);
  const ours = known && (known.changed || outbox.isSaving(known) || known.saving.revision >= image.revision);
  if (!ours) works.set(image.image_id, new Work(image, view, labels, Boolean(blind)));
  return works.get(image.image_id);
}

// The picture is at hand: from now on keys are about this image.
function show(next) {
  trip += 1;
  if (work !== next) before = work;
  work = next;
  done = false;
  note = "";
  const { image } = work;
  stage.show(image, pictures.of(image));
  one("name").textContent = image.file_name;
  one("split").textContent = messages.SPLITS[image.split];
  one("details").href = `/images/${image.image_id}`;
  waiting = false;
  showUnsaved();
  showWork();
  lists.aim(image);
  if (filmstrip) filmstrip.aim(image);
  if (suggestions) suggestions.ask(work);
  // Nothing of it can have been seen before this.
  shownAt = performance.now();
}

function showWork() {
  if (boxes && boxes.items !== work.said.annotations) boxes.show(work.said.annotations);
  if (crops) crops.show(work.crops, work.said.annotations);
  one("removed").hidden = !work.lacksRemoved;
  if (suggestions) suggestions.show(work);
  showState();
}

// No image is shown until this one's picture is there, unless the user goes elsewhere meanwhile.
async function travel(find, { record = true, none } = {}) {
  trip += 1;
  const mine = trip;
  waiting = true;
  stage.hide();
  note = NOTES.loading;
  showState();
  try {
    const image = await find();
    const next = image && workOf(image);
    if (next) await pictures.of(next.image).loaded;
    if (mine !== trip) return;
    if (next && next !== work) return arrive(next, record);
    stay(next ? "" : none);
  } catch (problem) {
    if (mine !== trip) return;
    stay(NOTES.notLoaded);
    showProblem({ elements: [], querySelector: () => null }, problem);
  }
}

function arrive(next, record = true) {
  show(next);
  if (!record) return;
  const here = new URL(location.href);
  here.searchParams.set("image", next.image.image_id);
  history.pushState(null, "", here);
}

// The image that was shown before stays.
function stay(text) {
  show(work);
  if (!text) return;
  done = kind === "classification" && changes.last?.work === work;
  note = text;
  showState();
}

function say(next) {
  if (meaning(next) === meaning(work.said)) return;
  changes.add({ work, from: work.said, to: next });
  work.said = next;
  note = "";
  if (suggestions) suggestions.show(work);
  showState();
}

function acceptSuggestion() {
  const accepted = suggestions && suggestions.accepted(work);
  if (!accepted) return refuse(NOTES.noSuggestion);
  if (kind === "classification" && !accepted.annotations.length) return refuse(NOTES.noConcept);
  say(accepted);
  return go("next-unannotated");
}

async function rejectSuggestion() {
  if (!suggestions || !suggestions.of(work)) return refuse(NOTES.noSuggestion);
  const rejected = work;
  try {
    const position = await suggestions.reject(rejected);
    outbox.position = Math.max(outbox.position, position);
  } catch (problem) {
    return refuse(messages.notRejected(problem.message));
  }
  if (rejected !== work || waiting) return undefined;
  showWork();
  return go("next-unannotated");
}

// An image of the queue; its own order has no place for prefetched ones.
function leastSure() {
  const passed = ({ image_id: id }) => id === work.image.image_id || works.get(id)?.annotated;
  return suggestions.next(queue, passed, outbox.position);
}

const undo = () => step(changes.undo(), NOTES.noUndo);
const redo = () => step(changes.redo(), NOTES.noRedo);

// Takes a change back, or makes it again, on the image it was made on.
async function step(change, none) {
  if (!change) return refuse(none);
  if (change.work !== work) {
    leave();
    await travel(async () => change.work.image);
    if (work !== change.work) return refuse(messages.changedMeanwhile(change.work.image.file_name));
  }
  work.said = change.said;
  done = false;
  note = "";
  showWork();
  if (kind === "classification") save();
  return undefined;
}

// Of crops it is said of the one that is selected; then comes the next without a concept, and in
// classification the next image once all have one.
function sayOfCrop(id) {
  const { box } = crops;
  if (!box) return refuse(NOTES.noCrop);
  say(ofCrop(kind, work.said, id, box));
  showWork();
  return kind === "classification" && !crops.toNextWithout() ? go("next-unannotated") : undefined;
}

// A concept's key or button: what it means depends on the kind of view.
function sayConcept(id) {
  if (crops) {
    sayOfCrop(id);
    return;
  }
  if (kind === "detection") {
    choose(id);
    if (!boxes.rename(id)) showButtons();
  } else if (kind === "tagging") say(toggled(work.said, id));
  else {
    say(onlyThis(id));
    go("next-unannotated");
  }
}

// The concept of new boxes, and of those that are shown where only one concept's are.
function choose(id) {
  current = id;
  if (boxes.only) boxes.showOnly(id);
}

function hideBoxes(hides = !frame.classList.contains("bare")) {
  frame.classList.toggle("bare", hides);
  showButtons();
}

function showOnly() {
  boxes.showOnly(boxes.only ? undefined : current);
  showButtons();
}

async function copyPrevious() {
  const shown = work;
  const image = before ? before.image : await lists.previous("previous", work.image).catch(() => undefined);
  if (shown !== work || waiting) return;
  const copied = image && workOf(image).said;
  if (!copied?.annotations.length && !copied?.without_concept) {
    refuse(NOTES.nothingToCopy);
    return;
  }
  say(withCopied(kind, shown.said, copied));
  showWork();
  if (kind === "classification") go("next-unannotated");
}

// By a key, one image is labelled once: at the end of the list the last one is still shown.
function typeConcept(id) {
  if (done) refuse(NOTES.labelled);
  else sayConcept(id);
}

function sayWithout() {
  if (kind === "classification") return;
  say(withoutConcept(work.said, Boolean(crops)));
  showWork();
}

// Resolves to whether the server has all that the page says. What failed before is tried again.
async function save() {
  const again = [...works.values()].filter((other) => other !== work && other.savable);
  const saves = [work, ...again].map((each) => outbox.save(each));
  return (await Promise.all(saves)).every(Boolean);
}

// The next image comes once this one is reviewed, unless the user goes elsewhere meanwhile.
async function reviewShown() {
  if (blind) return refuse(NOTES.blind);
  const shown = work;
  const { refused, position } = await review(shown, outbox);
  if (shown !== work || waiting) return;
  if (refused) {
    showWork();
    refuse(refused);
    return;
  }
  showWork();
  // What the list was asked for may hold no more for this image, and it stays on the page.
  const here = new URL(location.href);
  here.searchParams.set("image", shown.image.image_id);
  history.replaceState(null, "", here);
  counts.refresh();
  if (position && shown.image.reviewed_by) go("next");
}

// A save began or ended.
function saveMoved(moved) {
  if (moved.gone) moved.said = moved.kept;
  if (moved === work && !waiting) showWork();
  showUnsaved();
  if (filmstrip && !waiting) filmstrip.draw();
  if (!outbox.busy) counts.refresh();
}

function showUnsaved() {
  listUnsaved(works, work, one("unsaved"));
}

function leave() {
  save();
}

// previous, next, or one of them among the unannotated, which goes round.
function go(where) {
  leave();
  if (cameFrom && work.image.image_id === first.image_id && where.startsWith("next")) return returnToList();
  if (queue && suggestions && where === "next-unannotated") {
    return travel(leastSure, { none: NOTES.noOpen });
  }
  const list = lists.ahead[where];
  if (list?.ready) return arrive(workOf(list.ready));
  return travel(() => (list ? list.next() : lists.previous(where, work.image)), { none: messages.noImage(where) });
}

// Who was sent here for one image goes back once it is saved.
async function returnToList() {
  if (!(await save())) return;
  const url = new URL(cameFrom, location.origin);
  if (outbox.position) url.searchParams.set("at_least", outbox.position);
  location.assign(url);
}

function refuse(text) {
  beep();
  note = text;
  showState();
}

// Whether what was pressed then, was pressed at the image that is shown now; else it is refused.
function meets(time) {
  if (!waiting && time >= shownAt) return true;
  refuse(NOTES.ignored);
  return false;
}

function showState() {
  const state = waiting ? [] : [stateOf(work, outbox)];
  one("state").textContent = [...state, ...(note ? [note] : [])].join(": ");
  place.dataset.state = work.changed ? "changed" : "saved";
  showButtons();
}

function showButtons() {
  if (!work) return;
  const ofShownCrop = crops?.box ? crops.labelsOf(crops.box) : [];
  const said = crops ? ofShownCrop : work.said.annotations.map((annotation) => annotation.concept_id);
  const { reviewed_by: reviewer } = work.image;
  showPressed(place, {
    held: new Set(kind === "detection" ? [current] : said),
    without: work.said.without_concept,
    isReviewed: Boolean(reviewer) && !work.changed,
    reviewer,
    hides: frame.classList.contains("bare"),
    only: Boolean(boxes?.only),
  });
}

const actions = {
  add: () => boxes.add(),
  delete: () => boxes.delete(),
  save: () => go("next-unannotated"),
  review: reviewShown,
  accept: acceptSuggestion,
  reject: rejectSuggestion,
  undo,
  redo,
  copy: copyPrevious,
  hide: () => hideBoxes(),
  only: showOnly,
  "zoom-in": () => stage.in(),
  "zoom-out": () => stage.out(),
  fit: () => stage.fit(),
};

place.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  // A clicked button would take the next Enter for itself.
  if (event.detail) button.blur();
  const { says, go: where, do: action, back, film } = button.dataset;
  if (where) return go(where);
  if (back) return visit(back);
  if (film) return film === work.image.image_id ? undefined : visit(film);
  const acts = says || action || "without" in button.dataset;
  if (!acts || !meets(event.timeStamp)) return;
  if (says) sayConcept(says);
  else if (action) actions[action]();
  else sayWithout();
});

function visit(id) {
  leave();
  travel(async () => works.get(id)?.image ?? seen(id));
}

const search = one("search");
if (search) searchConcepts(search, place, (id, time) => meets(time) && typeConcept(id));
onKeys(one("shortcuts"), place, {
  ...actions, saveAndNext: actions.save, save, sayConcept: typeConcept, sayWithout, leave: go, boxes, crops, meets, search: search && (() => search.focus()),
});
addEventListener("popstate", () => {
  const id = new URL(location.href).searchParams.get("image") ?? first.image_id;
  if (id === work.image.image_id && !waiting) return;
  leave();
  travel(async () => works.get(id)?.image ?? seen(id), { record: false });
});
addEventListener("beforeunload", (event) => {
  if (outbox.busy || [...works.values()].some((each) => each.changed)) event.preventDefault();
});
work = workOf(first);
work.saving.url = savedAt || undefined;
const picture = pictures.of(first);
// The queue begins with its own first image, unless the address names one.
const begin = () => {
  show(work);
  if (queue && suggestions && !new URL(location.href).searchParams.has("image")) go("next-unannotated");
};
if (picture.ready) begin();
else {
  showState();
  picture.loaded.then(() => {
    if (waiting && trip === 0) begin();
  });
}
