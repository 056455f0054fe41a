// The picture, as large as its place allows: the pixels that training gets.

const TALLEST = 0.7;
const LARGEST_SCALE = 48;

export function showPicture(frame, image) {
  const picture = frame.querySelector("[data-picture]");
  const url = `/api/v1/images/${image.image_id}`;
  picture.alt = image.file_name;
  Object.assign(frame.dataset, { width: image.width, height: image.height });
  if (!picture.src.endsWith(`${url}/picture`)) picture.src = `${url}/picture`;
  fit(frame);
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
