// Asks the page's API; its addresses are relative, so that it works below any path.

const API = "page/api/";

/** What the gateway said instead of an answer. */
export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Return the answer's JSON; null where it has none. */
export async function ask(path, { method = "GET", body, signal } = {}) {
  const response = await send(path, { method, body, signal });
  return response.status === 204 ? null : response.json();
}

/** Yield the objects of an answer that comes line by line. */
export async function* lines(path, body, signal) {
  const response = await send(path, { method: "POST", body, signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const line of parts) yield JSON.parse(line);
  }
}

/** Return a path with its query; what is empty is left out, lists are repeated. */
export function query(path, values) {
  const pairs = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    for (const one of [value].flat()) {
      if (one !== "" && one !== null && one !== undefined) pairs.append(name, one);
    }
  }
  return `${path}?${pairs}`;
}

/** Return the address of something to download. */
export function address(path) {
  return API + path;
}

async function send(path, { method, body, signal }) {
  const response = await reached(API + path, {
    method,
    signal,
    headers: body === undefined ? {} : { "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (response.ok) return response;
  const { error = {} } = await response.json().catch(() => ({}));
  if (response.status === 401 && error.code === "page_token_needed") {
    dispatchEvent(new CustomEvent("token-needed"));
  }
  throw new Refused(response.status, error.code, error.message ?? `HTTP ${response.status}`);
}

async function reached(url, options) {
  try {
    return await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "unreachable", "the gateway does not answer");
  }
}
