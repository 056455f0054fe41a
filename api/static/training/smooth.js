// An exponential moving average without the bias towards its start (Kingma & Ba 2015, section 3).

const KEPT = 0.95;

// It goes on after the last of `count` values, whose average was `smoothed`.
export function smoother(count = 0, smoothed = 0) {
  let weight = 1 - KEPT ** count;
  let mean = smoothed * weight;
  return (value) => {
    mean = KEPT * mean + (1 - KEPT) * value;
    weight = KEPT * weight + (1 - KEPT);
    return mean / weight;
  };
}
