// Which items the filters and the lasso leave, and their order.
import { inside } from "./lasso.js";

// As the address has them, in the order of their numbers.
const REGIONS = ["easy", "ambiguous", "hard"];
const SPLITS = ["train", "validation"];

const ORDERS = {
  confidence: ({ confidence }) => (item) => confidence[item],
  aum: ({ aum }) => (item) => aum[item],
  loss: ({ loss }) => (item) => -loss[item],
  variability: ({ variability }) => (item) => -variability[item],
  forgotten: ({ forgotten }) => (item) => -forgotten[item],
  confident: ({ confidence }) => (item) => -confidence[item],
};

// 1 for each item that the filters leave after an epoch.
export function filtered(recording, arrays, { concept, split, region }) {
  const { count, truth, splits } = recording;
  const wanted = {
    concept: concept ? recording.concepts.indexOf(concept) : null,
    split: split ? SPLITS.indexOf(split) : null,
    region: region ? REGIONS.indexOf(region) : null,
  };
  const kept = new Uint8Array(count);
  for (let item = 0; item < count; item += 1) {
    const isKept =
      (wanted.concept === null || truth[item] === wanted.concept) &&
      (wanted.split === null || splits[item] === wanted.split) &&
      (wanted.region === null || arrays.region[item] === wanted.region);
    kept[item] = isKept ? 1 : 0;
  }
  return kept;
}

// 1 for each item that was in the polygon after the lasso's epoch.
export function lassoed(recording, { variability, confidence }, polygon) {
  return Uint8Array.from({ length: recording.count }, (_, item) => (inside(polygon, variability[item], confidence[item]) ? 1 : 0));
}

// The items that are left, in order.
export function listed(shown, chosen, arrays, sort) {
  const items = [];
  for (let item = 0; item < shown.length; item += 1) if (shown[item] && (!chosen || chosen[item])) items.push(item);
  const key = (ORDERS[sort] ?? ORDERS.confidence)(arrays);
  return items.sort((one, other) => key(one) - key(other) || one - other);
}

// How many items are in each region.
export function counted(items, { region }) {
  return REGIONS.map((_, at) => items.reduce((sum, item) => sum + (region[item] === at ? 1 : 0), 0));
}

// The nearest items on the map as it is drawn, of those that are shown.
export function nearest(map, item, count) {
  const { drawn, shown } = map;
  const away = (other) => Math.hypot(drawn[2 * other] - drawn[2 * item], drawn[2 * other + 1] - drawn[2 * item + 1]);
  const others = [];
  for (let other = 0; other < map.count; other += 1) if (shown[other] && other !== item) others.push([away(other), other]);
  return others.sort((one, other) => one[0] - other[0] || one[1] - other[1]).slice(0, count).map(([, other]) => other);
}

