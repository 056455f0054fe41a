// A lasso: a polygon of the map at one epoch. Coordinates alternate, variability then confidence.
const CORNERS = 40;
const DECIMALS = 3;

export function inside(polygon, x, y) {
  let isInside = false;
  for (let at = 0, last = polygon.length - 2; at < polygon.length; last = at, at += 2) {
    const [ax, ay, bx, by] = [polygon[at], polygon[at + 1], polygon[last], polygon[last + 1]];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) isInside = !isInside;
  }
  return isInside;
}

// The same shape with fewer corners, short enough for an address.
export function simplified(polygon) {
  const corners = polygon.length / 2;
  const step = Math.max(1, corners / CORNERS);
  const kept = [];
  for (let at = 0; at < corners; at += step) {
    const corner = 2 * Math.floor(at);
    kept.push(...[polygon[corner], polygon[corner + 1]].map((value) => Number(value.toFixed(DECIMALS))));
  }
  return kept;
}

export function written({ epoch, polygon }) {
  return [epoch, ...polygon].join("_");
}

// null for what is no lasso.
export function read(text) {
  const [epoch, ...polygon] = (text ?? "").split("_").map(Number);
  const isOne = polygon.length >= 6 && polygon.length % 2 === 0 && [epoch, ...polygon].every(Number.isFinite);
  return isOne ? { epoch, polygon } : null;
}
