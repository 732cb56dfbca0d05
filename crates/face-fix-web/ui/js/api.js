// The way to the server: the session token, JSON calls, pictures as blobs.
//
// The token comes in the link's fragment, which no browser sends anywhere, and is kept
// for this tab and this origin only. It goes out in a header, so other sites cannot
// make the browser send it.

const TOKEN = "face-fix-token";

/** Most previews held at once; a preview is some 0.3 to 1 MB. */
const MAX_PICTURES = 24;

/** Takes the token out of the address bar. Returns whether there is one. */
export function takeToken() {
  const given = location.hash.slice(1);
  if (given) {
    sessionStorage.setItem(TOKEN, given);
    history.replaceState(null, "", location.pathname);
  }
  return sessionStorage.getItem(TOKEN) !== null;
}

/** A call that did not succeed. */
export class ApiError extends Error {
  /**
   * @param {string} message @param {string} kind @param {number} status @param {string} [detail]
   * @param {number|null} [transaction] what waits, to name it when it is tried again
   */
  constructor(message, kind, status, detail = "", transaction = null) {
    super(message);
    this.detail = detail;
    this.transaction = transaction;
    this.kind = kind;
    this.status = status;
  }
}

async function request(method, path, body) {
  const headers = { Authorization: `Bearer ${sessionStorage.getItem(TOKEN) ?? ""}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method, headers, cache: "no-store",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new ApiError("face-fix itself does not answer. Is it still running in its terminal?", "unreachable", 0);
  }
  if (response.ok) return response;
  let error = { message: `The server said ${response.status}.`, kind: "server" };
  try {
    error = { ...error, ...(await response.json()).error };
  } catch { /* no JSON: the status alone must do */ }
  throw new ApiError(error.message, error.kind, response.status, error.detail, error.transaction);
}

/** GET as JSON. */
export const get = async (path) => (await request("GET", path)).json();

/** POST as JSON. */
export const post = async (path, body = {}) => (await request("POST", path, body)).json();

/** A query string of the given fields. */
export const query = (fields) => `?${new URLSearchParams(fields)}`;

// Blob addresses by path, the one used longest ago first.
const pictures = new Map();

/**
 * The address of a picture for an <img>; fetched once, kept while it is among the last used.
 * @returns {Promise<string>}
 */
export function picture(path) {
  const known = pictures.get(path);
  if (known) {
    pictures.delete(path);
    pictures.set(path, known);
    return known;
  }
  const coming = request("GET", path).then(async (response) => URL.createObjectURL(await response.blob()));
  pictures.set(path, coming);
  coming.catch(() => pictures.delete(path));
  for (const [old, address] of pictures) {
    if (pictures.size <= MAX_PICTURES) break;
    pictures.delete(old);
    address.then((url) => URL.revokeObjectURL(url), () => {});
  }
  return coming;
}

/** Path of an asset's preview. */
export const previewPath = (asset) => `/api/asset/${asset}/preview`;

/** Path of a person's picture. */
export const facePath = (person) => `/api/person/${person}/thumbnail`;

// Small pictures of people are not counted among the previews.
const portraits = new Map();

/** Puts a person's picture into an <img> as soon as it comes into sight. */
export function portrait(img, person) {
  const path = facePath(person);
  const load = () => {
    if (!portraits.has(path)) {
      const coming = request("GET", path).then(async (response) => URL.createObjectURL(await response.blob()));
      portraits.set(path, coming);
      coming.catch(() => portraits.delete(path));
    }
    portraits.get(path).then((url) => { img.src = url; }, () => { img.classList.add("none"); });
  };
  inSight(img, load);
  return img;
}

const waiting = new WeakMap();
const eye = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    eye.unobserve(entry.target);
    waiting.get(entry.target)?.();
    waiting.delete(entry.target);
  }
}, { rootMargin: "200px" });

/** Runs `load` once `node` comes near the visible part of the page. */
export function inSight(node, load) {
  waiting.set(node, load);
  eye.observe(node);
}
