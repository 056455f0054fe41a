// An exponential moving average without the bias towards its start (Kingma & Ba 2015, section 3).

// How much of the average the server keeps at each value where it sends averages along.
export const KEPT_BY_SERVER = 0.95;

// It goes on after the last of `count` values, whose average was `smoothed`.
export function smoother(kept, count = 0, smoothed = 0) {
  let weight = 1 - kept ** count;
  let mean = smoothed * weight;
  return (value) => {
    mean = kept * mean + (1 - kept) * value;
    weight = kept * weight + (1 - kept);
    return mean / weight;
  };
}
