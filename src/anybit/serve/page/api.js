// The HTTP API: one function per request. Every failure is an ApiError with a code and a cure.

const TOKEN_KEY = "anybit-token";

export class ApiError extends Error {
  constructor(code, message, cure, status = 0) {
    super(message);
    Object.assign(this, { code, cure, status });
  }
}

/** Take the token out of the address (#token=T), so that it is neither shown nor shared. */
export function takeToken() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token === null) return;
  keepToken(token);
  history.replaceState(history.state, "", location.pathname + location.search);
}

export function keepToken(token) {
  sessionStorage.setItem(TOKEN_KEY, token);
}

export const hasToken = () => sessionStorage.getItem(TOKEN_KEY) !== null;

function headers(extra = {}) {
  const token = sessionStorage.getItem(TOKEN_KEY);
  return token === null ? extra : { ...extra, Authorization: `Bearer ${token}` };
}

/** Parse JSON; whole numbers beyond 2^53, such as ids, stay exact as strings of digits. */
function parse(text) {
  return JSON.parse(text, (key, value, context) => {
    const isRounded = typeof value === "number" && !Number.isSafeInteger(value);
    return isRounded && /^-?\d+$/.test(context?.source ?? "") ? context.source : value;
  });
}

async function call(path, options = {}) {
  let response, text;
  try {
    response = await fetch(path, { ...options, headers: headers(options.headers) });
    text = await response.text();
  } catch (cause) {
    if (cause.name === "AbortError") throw cause;
    throw new ApiError(
      "offline",
      "An answer of the server was expected, none came.",
      "Check that anybit serve is still running, then try again.",
    );
  }
  let body = null;
  try {
    body = parse(text);
  } catch {
    // answers of proxies and the like, treated below
  }
  if (response.ok && body !== null) return body;
  const error = body?.error ?? {};
  throw new ApiError(
    error.code ?? "unknown",
    error.message ?? `An answer of the API was expected, got status ${response.status}.`,
    error.cure ?? "Try again; if it stays so, look at the server's log.",
    response.status,
  );
}

export const getCollection = () => call("v1/collection");
export const getItem = (id, signal) => call(`v1/items/${encodeURIComponent(id)}`, { signal });

export function getItems(limit, cursor) {
  const query = new URLSearchParams({ limit });
  if (cursor) query.set("cursor", cursor);
  return call(`v1/items?${query}`);
}

/** Search by {kind: "id", id}, {kind: "vector", values} or {kind: "image", blob, name}. */
export function search(query, options, signal) {
  const request = { ...options, with_overlap: true };
  if (query.kind === "image") {
    const body = new FormData();
    body.append("image", query.blob, query.name);
    body.append("query", JSON.stringify(request));
    return call("v1/search", { method: "POST", body, signal });
  }
  if (query.kind === "vector") request.vector = query.values;
  let body = JSON.stringify(request);
  // An id may exceed 2^53: its digits are written as they are, never as a JavaScript number.
  if (query.kind === "id") body = `{"id":${query.id},${body.slice(1)}`;
  return call("v1/search", {
    method: "POST",
    body,
    signal,
    headers: { "Content-Type": "application/json" },
  });
}

const pictures = new Map(); // address -> promise of a blob: address, the latest 500

/** Return an address that an <img> can show: an image request cannot carry the token itself. */
export function pictureAddress(path) {
  const address = path.replace(/^\//, ""); // relative, so that the page works below a prefix
  if (!hasToken()) return Promise.resolve(address);
  if (!pictures.has(address)) {
    if (pictures.size >= 500) {
      const [oldest, made] = pictures.entries().next().value;
      pictures.delete(oldest);
      made.then(URL.revokeObjectURL, () => {});
    }
    const made = fetch(address, { headers: headers() }).then(async (response) => {
      if (!response.ok) throw new ApiError("not_found", "A picture was expected.", "");
      return URL.createObjectURL(await response.blob());
    });
    made.catch(() => pictures.delete(address));
    pictures.set(address, made);
  }
  return pictures.get(address);
}
