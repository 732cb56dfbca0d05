// The banner at the top: an error, and the way to try again.

import { ApiError } from "./api.js";
import { byId, el, fill } from "./dom.js";

/**
 * Shows an error until it is mended or dismissed. `retry` does again what failed.
 * @param {unknown} error @param {(() => void)|null} [retry]
 */
export function complain(error, retry = null) {
  const known = error instanceof ApiError;
  const text = known ? error.message : `Something in this page went wrong: ${error}`;
  if (!known) console.error(error);
  const banner = byId("banner");
  const again = retry && el("button", {
    class: "again", on: { click: () => { clearBanner(); retry(); } },
  }, "Try again ", el("kbd", {}, "R"));
  fill(banner, el("span", {}, text, known && error.detail ? el("small", {}, error.detail) : null), again,
    el("button", { class: "quiet", on: { click: clearBanner } }, "Dismiss"));
  banner.hidden = false;
  banner.retry = retry ? () => { clearBanner(); retry(); } : null;
}

/** Takes the error away. */
export function clearBanner() {
  const banner = byId("banner");
  banner.hidden = true;
  banner.retry = null;
  banner.replaceChildren();
}

/** Does again what failed; returns whether there was something. */
export function retryBanner() {
  const { retry } = byId("banner");
  if (retry) retry();
  return Boolean(retry);
}
