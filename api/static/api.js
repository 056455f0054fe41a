// Calls of the documented API. A refusal is thrown as a Problem (RFC 9457).

export class Problem extends Error {
  constructor(detail, errors = [], answered = true, status = undefined) {
    super(detail);
    this.errors = errors;
    this.answered = answered;
    this.status = status;
  }
}

// crypto.randomUUID is only there over TLS; this is there everywhere.
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// What tells the server that a change is asked for by one of its own pages.
export function ownPage() {
  const token = document.querySelector('meta[name="csrf-token"]')?.content;
  return token ? { "X-CSRF-Token": token } : {};
}

// The body is an object, sent as JSON, or a FormData, sent as it is.
export async function call(method, url, { body, key = newKey(), headers: more = {} } = {}) {
  const headers = { ...more, ...ownPage(), "Idempotency-Key": key, Accept: "application/json" };
  const isForm = body instanceof FormData;
  if (body !== undefined && !isForm) headers["Content-Type"] = "application/json";
  const sent = body === undefined || isForm ? body : JSON.stringify(body);
  let response;
  try {
    response = await fetch(url, { method, headers, body: sent });
  } catch {
    throw new Problem(
      "The server does not answer. Try again: what it may have done already is not done twice.",
      [],
      false,
    );
  }
  const content = await response.json().catch(() => ({}));
  if (response.ok) return content;
  throw problemOf(response.status, content);
}

// What a refused call says, as a Problem.
export function problemOf(status, content) {
  const detail = content.detail ?? `The server answers ${status}.`;
  return new Problem(detail, content.errors ?? [], status < 500, status);
}
