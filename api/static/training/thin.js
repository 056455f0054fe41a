// Fewer points for the same picture: of each run of neighbours the lowest and the highest stay.

export function thin(x, y, atMost) {
  const each = Math.ceil((2 * x.length) / atMost);
  const kept = { x: [], y: [] };
  for (let start = 0; start < x.length; start += each) {
    let [low, high] = [start, start];
    for (let at = start; at < Math.min(start + each, x.length); at += 1) {
      if (y[at] < y[low]) low = at;
      if (y[at] > y[high]) high = at;
    }
    for (const at of new Set([Math.min(low, high), Math.max(low, high)])) {
      kept.x.push(x[at]);
      kept.y.push(y[at]);
    }
  }
  return kept;
}
