// An exponential moving average without the bias towards its start (Kingma & Ba 2015, section 3).

const KEPT = 0.95;

export function smoother() {
  let [mean, weight] = [0, 0];
  return (value) => {
    mean = KEPT * mean + (1 - KEPT) * value;
    weight = KEPT * weight + (1 - KEPT);
    return mean / weight;
  };
}
