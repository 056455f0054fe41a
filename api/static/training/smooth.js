// An exponential moving average without the bias towards its start (Kingma & Ba 2015, section 3).

export function smoother(kept) {
  let [mean, weight] = [0, 0];
  return (value) => {
    mean = kept * mean + (1 - kept) * value;
    weight = kept * weight + (1 - kept);
    return mean / weight;
  };
}
