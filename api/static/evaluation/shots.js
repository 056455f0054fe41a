// A picture that cannot be had, as of an image that is no longer in the project, says so.

export function forgive({ target }) {
  if (!(target instanceof HTMLImageElement) || !("shot" in target.dataset)) return;
  target.closest(".shot").classList.add("gone");
}
