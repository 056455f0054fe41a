// Numbers as text, in the form that domain/formatting.py gives them on the server.

const SIZES = [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]];
const NUMBERS = new Intl.NumberFormat("en");

export const number = (value) => NUMBERS.format(value);

export const counted = (value, noun, plural = `${noun}s`) => `${number(value)} ${value === 1 ? noun : plural}`;

// Without an exponent or separators: a small learning rate is read as what it is.
export const plain = (value) => value.toLocaleString("en", { useGrouping: false, maximumSignificantDigits: 15 });

// A number of bytes in its largest decimal unit.
export function size(bytes) {
  const [span, unit] = SIZES.find(([least]) => bytes >= least) ?? [1, "B"];
  return span === 1 ? `${bytes} B` : `${(bytes / span).toFixed(1)} ${unit}`;
}

export const percent = (share, digits = 0) => `${(100 * share).toFixed(digits)}%`;
