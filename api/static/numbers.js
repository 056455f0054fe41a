// Numbers as text, in the form that domain/formatting.py gives them on the server.

const NUMBERS = new Intl.NumberFormat("en");

export const number = (value) => NUMBERS.format(value);

export const counted = (value, noun, plural = `${noun}s`) => `${number(value)} ${value === 1 ? noun : plural}`;

export const percent = (share, digits = 0) => `${(100 * share).toFixed(digits)}%`;
