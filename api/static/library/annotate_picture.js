// The picture, as large as its place allows; a format the browser lacks comes from the server small.

const TALLEST = 0.7;
const LARGEST_SCALE = 48;

export function showPicture(frame, image) {
  const picture = frame.querySelector("[data-picture]");
  const url = `/api/v1/images/${image.image_id}`;
  picture.alt = image.file_name;
  Object.assign(frame.dataset, { width: image.width, height: image.height });
  picture.onerror = () => {
    picture.onerror = null;
    picture.src = `${url}/thumbnail?size=2048`;
  };
  if (!picture.src.endsWith(`${url}/content`)) picture.src = `${url}/content`;
  else if (picture.complete && !picture.naturalWidth) picture.onerror();
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
