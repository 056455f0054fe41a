// The picture in its place, as large as the page allows: the pixels that training gets. There is no
// picture while the next one loads.

const TALLEST = 0.7;
const LARGEST_SCALE = 48;

export function showPicture(frame, image, { element }) {
  const old = frame.querySelector("[data-picture]");
  element.alt = image.file_name;
  Object.assign(frame.dataset, { width: image.width, height: image.height });
  if (old !== element) old.replaceWith(element);
  frame.classList.remove("waiting");
  fit(frame);
}

export function hidePicture(frame) {
  frame.classList.add("waiting");
}

export function fitPicture(frame) {
  addEventListener("resize", () => fit(frame));
}

function fit(frame) {
  const { width, height } = frame.dataset;
  const { clientWidth } = frame.parentElement;
  const scale = Math.min(clientWidth / width, (TALLEST * innerHeight) / height, LARGEST_SCALE);
  frame.style.width = `${Math.round(width * scale)}px`;
  frame.style.height = `${Math.round(height * scale)}px`;
  frame.classList.toggle("tiny", scale > 4);
}
