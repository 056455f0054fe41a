// Boxes in shares of the image, always within it: {x, y, width, height}, all from 0 to 1.

const SMALLEST = 0.002;
const within = (value, low, high) => Math.min(Math.max(value, low), high);
const rounded = (value) => Math.round(value * 1e9) / 1e9;

export function boxOf(left, top, right, bottom) {
  const [x, y] = [within(left, 0, 1 - SMALLEST), within(top, 0, 1 - SMALLEST)].map(rounded);
  const width = rounded(within(right, x + SMALLEST, 1) - x);
  const height = rounded(within(bottom, y + SMALLEST, 1) - y);
  return { x, y, width, height };
}

export function between(one, other) {
  const [left, right] = [one.x, other.x].sort((a, b) => a - b);
  const [top, bottom] = [one.y, other.y].sort((a, b) => a - b);
  return boxOf(left, top, right, bottom);
}

export function moved(box, right, down) {
  const x = within(box.x + right, 0, 1 - box.width);
  const y = within(box.y + down, 0, 1 - box.height);
  return { ...box, x: rounded(x), y: rounded(y) };
}

// `handle` names the sides that follow: n, s, e, w, or two of them.
export function resized(box, handle, right, down) {
  let { x: left, y: top } = box;
  let [end, bottom] = [left + box.width, top + box.height];
  if (handle.includes("w")) left = within(left + right, 0, end - SMALLEST);
  if (handle.includes("e")) end += right;
  if (handle.includes("n")) top = within(top + down, 0, bottom - SMALLEST);
  if (handle.includes("s")) bottom += down;
  return boxOf(left, top, end, bottom);
}
