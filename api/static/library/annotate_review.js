// Reviewing: the annotations that are shown are right, or not sure to be so after all.
import { Problem } from "../api.js";
import { NOTES, notReviewed, YOU } from "./messages.js";

// Saves the work and then marks it, or takes the mark back; resolves to the position of the log, or
// to { refused } with the reason.
export async function review(work, outbox) {
  if (!work.annotated) return { refused: NOTES.annotateFirst };
  const method = work.image.reviewed_by && !work.changed ? "DELETE" : "PUT";
  if (!(await outbox.save(work))) return { refused: NOTES.notSaved };
  try {
    const { theirs, position } = await work.saving.review(method);
    if (theirs) {
      work.begin(theirs);
      return { refused: NOTES.changedByOthers };
    }
    work.image.reviewed_by = method === "PUT" ? YOU : null;
    outbox.position = Math.max(outbox.position, position);
    return { position };
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    return { refused: notReviewed(problem.message) };
  }
}
