// Calls of the documented API. A refusal is thrown as a Problem (RFC 9457).
import { followSession, signInAgain } from "./access/sign_in_again.js";
import * as messages from "./messages.js";

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

// The body is an object, sent as JSON, or a FormData, sent as it is. Where the session has ended, or
// another one has begun in this browser, the same call is made again in the one there is then.
export async function call(method, url, options = {}) {
  const key = options.key ?? newKey();
  const token = ownPage();
  try {
    return await attempt(method, url, { ...options, key });
  } catch (problem) {
    if (!(problem instanceof Problem) || !token["X-CSRF-Token"] || !(await isSignedIn(problem, token))) throw problem;
    return attempt(method, url, { ...options, key });
  }
}

async function isSignedIn({ status }, before) {
  if (status === 401) return signInAgain();
  if (status !== 403) return false;
  return (await followSession()) && ownPage()["X-CSRF-Token"] !== before["X-CSRF-Token"];
}

async function attempt(method, url, { body, key, headers: more = {} }) {
  const headers = { ...more, ...ownPage(), "Idempotency-Key": key, Accept: "application/json" };
  const isForm = body instanceof FormData;
  if (body !== undefined && !isForm) headers["Content-Type"] = "application/json";
  const sent = body === undefined || isForm ? body : JSON.stringify(body);
  let response;
  try {
    response = await fetch(url, { method, headers, body: sent });
  } catch {
    throw new Problem(messages.NO_ANSWER, [], false);
  }
  const content = await response.json().catch(() => ({}));
  if (response.ok) return content;
  throw problemOf(response.status, content);
}

// What a refused call says, as a Problem.
export function problemOf(status, content) {
  const detail = content.detail ?? messages.refused(status);
  return new Problem(detail, content.errors ?? [], status < 500, status);
}
