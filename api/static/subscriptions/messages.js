// Texts of the webhooks page's scripts, in one place for translation.

export const replay = (name) => `Replay to ${name}`;
export const position = (at) => `now at ${at}`;
export const tested = (name, { status, trouble, seconds }) =>
  `Test to ${name}: ${trouble === null ? `accepted, answered ${status}` : `not accepted, ${trouble}`}, in ${seconds} s`;
