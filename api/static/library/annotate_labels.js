// What is said of an image after a concept's key, a copy, or *nothing here*; all are plain functions.
import { isSame } from "./annotate_crops.js";

// Tagging: the concept is added, or taken back.
export function toggled(said, id) {
  const others = said.annotations.filter((annotation) => annotation.concept_id !== id);
  const has = others.length < said.annotations.length;
  return { annotations: has ? others : [...others, { concept_id: id }], without_concept: false };
}

export function onlyThis(id) {
  return { annotations: [{ concept_id: id }], without_concept: false };
}

// Of one crop: tagging toggles the concept, classification replaces the one it has.
export function ofCrop(kind, said, id, box) {
  const isSaid = (annotation) => annotation.concept_id === id && isSame(annotation.box, box);
  const isReplaced = (annotation) => (kind === "tagging" ? isSaid(annotation) : isSame(annotation.box, box));
  const others = said.annotations.filter((annotation) => !isReplaced(annotation));
  const takenBack = kind === "tagging" && said.annotations.some(isSaid);
  return { ...said, annotations: takenBack ? others : [...others, { concept_id: id, box }] };
}

// What another image has, in addition to what this one has; in classification in its place.
export function withCopied(kind, said, { annotations, without_concept: without }) {
  const own = kind === "classification" ? [] : said.annotations;
  const isOwn = ({ concept_id: id, box }) => own.some((each) => each.concept_id === id && (!box || isSame(each.box, box)));
  return { annotations: [...own, ...annotations.filter((each) => !isOwn(each))], without_concept: without && !own.length };
}

// Crops that are labelled stay so: nothing is in the others.
export function withoutConcept(said, keeps) {
  return { annotations: keeps ? said.annotations : [], without_concept: !said.without_concept };
}
