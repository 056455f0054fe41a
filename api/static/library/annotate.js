// Annotating: keys and buttons change the image that is shown; it is saved while the next one is.
import { call } from "../api.js";
import { Ahead, Pictures } from "./annotate_ahead.js";
import { Boxes } from "./annotate_boxes.js";
import { Crops, isSame } from "./annotate_crops.js";
import { onKeys } from "./annotate_keys.js";
import { look, meaning } from "./annotate_saving.js";
import { Suggestions } from "./annotate_suggestions.js";
import { review } from "./annotate_review.js";
import { Stage } from "./annotate_picture.js";
import { searchConcepts } from "./annotate_search.js";
import { Outbox, Work } from "./annotate_work.js";
import { refresh } from "../parts.js";
import { showProblem } from "../problems.js";
import { beep } from "../sound.js";

const AHEAD = 6;
const BETWEEN_COUNTS = 1500;

const place = document.querySelector("[data-annotate]");
const { view_id: view, project_id: project, kind, crops: ofCrops, labels, among, image: first, saved_at: savedAt, back: cameFrom, suggests, queue, blind } = JSON.parse(place.dataset.annotate);
const one = (name) => place.querySelector(`[data-${name}]`);
const frame = one("frame");
const stage = new Stage(one("stage"), frame, (factor) => {
  one("zoom").textContent = factor === 1 ? "Fit" : `${Math.round(100 * factor)}%`;
});
const works = new Map();
const pictures = new Pictures(first, one("picture"));
const outbox = new Outbox(saveMoved);
const skips = ({ image_id: id }) => works.get(id)?.annotated || works.get(id)?.gone;
const seen = async (id) => (blind ? hidden(await look(id, view)) : look(id, view));
const hidden = (image) => ({ ...image, annotations: [], without_concept: false, reviewed_by: null });
const unannotated = { ...(among.split && { split: among.split }), annotated: "false" };
const lists = {
  next: new Ahead({ find: (query) => find(among, query), skips: (row) => works.get(row.image_id)?.gone, pictures, depth: 1 }),
  "next-unannotated": new Ahead({ find: (query) => find(unannotated, query), skips, pictures, depth: AHEAD, round: true }),
};

// The work that is shown, or was last; `waiting` is whether no image is shown, since when one is.
let work;
// The work that was shown before it.
let before;
let waiting = true;
let shownAt = Infinity;
let trip = 0;
let done = false;
let note = "the image is loading…";
let refreshing;
let past = [];
let future = [];
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
  one("split").textContent = image.split;
  one("details").href = `/images/${image.image_id}`;
  waiting = false;
  shownAt = performance.now();
  showUnsaved();
  showWork();
  for (const list of Object.values(lists)) list.aim(image);
  if (suggestions) suggestions.ask(work);
}

function showWork() {
  if (boxes && boxes.items !== work.said.annotations) boxes.show(work.said.annotations);
  if (crops) crops.show(work.crops, work.said.annotations);
  one("removed").hidden = !work.lacksRemoved;
  if (suggestions) suggestions.show(work);
  showState();
}

function stateOf(shown) {
  if (outbox.isSaving(shown)) return "saving…";
  if (shown.problem) return shown.problem.undecided ? "not saved: edited by someone else" : "not saved";
  if (shown.changed) return "not saved yet";
  return shown.annotated || shown.saving.base.annotations.length ? "saved" : "not annotated yet";
}

// No image is shown until this one's picture is there, unless the user goes elsewhere meanwhile.
async function travel(find, { record = true, none } = {}) {
  trip += 1;
  const mine = trip;
  waiting = true;
  stage.hide();
  note = "the image is loading…";
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
    stay("the next image cannot be loaded");
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
  done = kind === "classification" && past.at(-1)?.work === work;
  note = text;
  showState();
}

function say(next) {
  if (meaning(next) === meaning(work.said)) return;
  past.push({ work, from: work.said, to: next });
  future = [];
  work.said = next;
  note = "";
  if (suggestions) suggestions.show(work);
  showState();
}

function acceptSuggestion() {
  const accepted = suggestions && suggestions.accepted(work);
  if (!accepted) return refuse("nothing is suggested for this image");
  if (kind === "classification" && !accepted.annotations.length) return refuse("no concept is suggested");
  say(accepted);
  return go("next-unannotated");
}

async function rejectSuggestion() {
  if (!suggestions || !suggestions.of(work)) return refuse("nothing is suggested for this image");
  const rejected = work;
  try {
    const position = await suggestions.reject(rejected);
    outbox.position = Math.max(outbox.position, position);
  } catch (problem) {
    return refuse(`not rejected: ${problem.message}`);
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

const undo = () => step(past, future, "from", "undo");
const redo = () => step(future, past, "to", "redo");

// Takes a change back, or makes it again, on the image it was made on.
async function step(one, other, side, name) {
  const change = one.pop();
  if (!change) return refuse(`nothing to ${name}`);
  other.push(change);
  if (change.work !== work) {
    leave();
    await travel(async () => change.work.image);
    if (work !== change.work) return refuse(`${change.work.image.file_name} has changed in the meantime`);
  }
  work.said = change[side];
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
  if (!box) return refuse("the image has no crop in this view");
  const { said } = work;
  const isSaid = (annotation) => annotation.concept_id === id && isSame(annotation.box, box);
  const others = said.annotations.filter((annotation) => !(kind === "tagging" ? isSaid(annotation) : isSame(annotation.box, box)));
  const takenBack = kind === "tagging" && said.annotations.some(isSaid);
  say({ ...said, annotations: takenBack ? others : [...others, { concept_id: id, box }] });
  showWork();
  return kind === "classification" && !crops.toNextWithout() ? go("next-unannotated") : undefined;
}

// A concept's key or button: what it means depends on the kind of view.
function sayConcept(id) {
  if (crops) {
    sayOfCrop(id);
    return;
  }
  const { said } = work;
  const has = said.annotations.some((annotation) => annotation.concept_id === id);
  if (kind === "detection") {
    choose(id);
    if (!boxes.rename(id)) showButtons();
  } else if (kind === "tagging") {
    const others = said.annotations.filter((annotation) => annotation.concept_id !== id);
    say({ annotations: has ? others : [...others, { concept_id: id }], without_concept: false });
  } else {
    say({ annotations: [{ concept_id: id }], without_concept: false });
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

// What the image before has, in addition to what this one has; in classification in its place.
async function copyPrevious() {
  const shown = work;
  const image = before ? before.image : await previous("previous").catch(() => undefined);
  if (shown !== work || waiting) return;
  const { annotations = [], without_concept: without } = image ? workOf(image).said : {};
  if (!annotations.length && !without) {
    refuse("the previous image has nothing to copy");
    return;
  }
  const own = kind === "classification" ? [] : shown.said.annotations;
  const isOwn = ({ concept_id: id, box }) => own.some((each) => each.concept_id === id && (!box || isSame(each.box, box)));
  say({ annotations: [...own, ...annotations.filter((each) => !isOwn(each))], without_concept: without && !own.length });
  showWork();
  if (kind === "classification") go("next-unannotated");
}

// By a key, one image is labelled once: at the end of the list the last one is still shown.
function typeConcept(id) {
  if (done) refuse("this image has a concept; go to another image, or click a concept to change it");
  else sayConcept(id);
}

function sayWithout() {
  if (kind === "classification") return;
  const { annotations, without_concept: without } = work.said;
  say({ annotations: crops ? annotations : [], without_concept: !without });
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
  if (blind) return refuse("blind annotations cannot be reviewed");
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
  refreshCounts();
  if (position && shown.image.reviewed_by) go("next");
}

// A save began or ended.
function saveMoved(moved) {
  if (moved.gone) moved.said = moved.kept;
  if (moved === work && !waiting) showWork();
  showUnsaved();
  if (!outbox.busy) refreshCounts();
}

// One at a time, so that an older answer never replaces a newer one, and few of a fast typist's.
async function refreshCounts() {
  if (refreshing) {
    refreshing.again = true;
    return;
  }
  do {
    refreshing = { again: false };
    await refresh(outbox.position || undefined);
    await new Promise((resolve) => setTimeout(resolve, BETWEEN_COUNTS));
  } while (refreshing.again);
  refreshing = undefined;
}

function showUnsaved() {
  const failed = [...works.values()].filter((each) => each.problem);
  const box = document.getElementById("problem");
  box.textContent = failed.map(({ image, problem, gone }) => {
    if (gone) return `${image.file_name} was removed: its annotations are not kept.`;
    return `${image.file_name} is not saved: ${problem.message}`;
  }).join("\n");
  box.hidden = !failed.length;
  one("unsaved").replaceChildren(...failed.filter((each) => !each.gone && each !== work).map((each) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: `Back to ${each.image.file_name}` });
    button.dataset.back = each.image.image_id;
    return button;
  }));
}

function leave() {
  save();
}

// previous, next, or one of them among the unannotated, which goes round.
function go(where) {
  leave();
  if (cameFrom && work.image.image_id === first.image_id && where.startsWith("next")) return returnToList();
  const none = where.endsWith("-unannotated") ? "no other image is unannotated" : `no ${where} image`;
  if (queue && suggestions && where === "next-unannotated") {
    return travel(leastSure, { none: "no other image has an open suggestion" });
  }
  const list = lists[where];
  if (list?.ready) return arrive(workOf(list.ready));
  return travel(() => (list ? list.next() : previous(where)), { none });
}

// Who was sent here for one image goes back once it is saved.
async function returnToList() {
  if (!(await save())) return;
  const url = new URL(cameFrom, location.origin);
  if (outbox.position) url.searchParams.set("at_least", outbox.position);
  location.assign(url);
}

async function previous(where) {
  if (blind) return undefined; // its list goes forward
  const wanted = where.endsWith("-unannotated") ? unannotated : among;
  const query = { order: "newest", limit: 1, fresh: true };
  const ours = ({ image_id: id }) => id !== work.image.image_id;
  const found = (await find(wanted, { ...query, cursor: work.image.added_position })).filter(ours);
  if (found.length || wanted === among) return found[0];
  return (await find(wanted, query)).filter(ours)[0];
}

async function find(wanted, { fresh, ...query }) {
  const at = fresh && outbox.position ? { at_least: outbox.position } : {};
  const chosen = blind ? { share: blind } : { ...wanted, view_id: view };
  const given = Object.entries({ ...chosen, ...at, ...query }).filter(([, value]) => value !== undefined);
  const list = blind ? `views/${view}/blind-images` : `projects/${project}/images`;
  const { items } = await call("GET", `/api/v1/${list}?${new URLSearchParams(given)}`);
  return items;
}

function refuse(text) {
  beep();
  note = text;
  showState();
}

// Whether what was pressed then, was pressed at the image that is shown now; else it is refused.
function meets(time) {
  if (!waiting && time >= shownAt) return true;
  refuse("a key was ignored: no image was shown");
  return false;
}

function showState() {
  const state = waiting ? [] : [stateOf(work)];
  one("state").textContent = [...state, ...(note ? [note] : [])].join(": ");
  place.dataset.state = work.changed ? "changed" : "saved";
  showButtons();
}

function showButtons() {
  if (!work) return;
  const ofCrop = crops?.box ? crops.labelsOf(crops.box) : [];
  const held = new Set(crops ? ofCrop : work.said.annotations.map((annotation) => annotation.concept_id));
  for (const button of place.querySelectorAll("[data-says]")) {
    const id = button.dataset.says;
    button.ariaPressed = String(kind === "detection" ? id === current : held.has(id));
  }
  const { reviewed_by: reviewer } = work.image;
  const isReviewed = Boolean(reviewer) && !work.changed;
  place.querySelector("[data-do=review]").ariaPressed = String(isReviewed);
  one("review").textContent = isReviewed ? `, reviewed by ${reviewer}` : "";
  for (const [name, isOn] of [["hide", frame.classList.contains("bare")], ["only", Boolean(boxes?.only)]]) {
    const button = place.querySelector(`[data-do=${name}]`);
    if (button) button.ariaPressed = String(isOn);
  }
  const without = one("without");
  if (without) without.ariaPressed = String(work.said.without_concept);
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
  const { says, go: where, do: action, back } = button.dataset;
  if (where) return go(where);
  if (back) return goBack(works.get(back));
  const acts = says || action || "without" in button.dataset;
  if (!acts || !meets(event.timeStamp)) return;
  if (says) sayConcept(says);
  else if (action) actions[action]();
  else sayWithout();
});

function goBack(failed) {
  leave();
  travel(async () => failed.image);
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
