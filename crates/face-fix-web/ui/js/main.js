// The way between the screens, and errors that nobody caught.

import { ApiError, get, takeToken } from "./api.js";
import { clearBanner, complain } from "./banner.js";
import { el, show } from "./dom.js";
import { review } from "./review.js";
import { setup } from "./setup.js";
import { split } from "./split.js";
import { summary } from "./summary.js";

/** What every screen may use. */
export const app = {
  /** @type {any} The server's state; see GET /api/state. */
  state: null,
  /** Takes down what the current screen set up (listeners, timers). */
  leave: () => {},

  /** Goes to a screen by name. */
  async go(name, ...options) {
    this.leave();
    this.leave = () => {};
    clearBanner();
    document.body.dataset.screen = name;
    try {
      await { setup, review, split, summary }[name](this, ...options);
    } catch (error) {
      complain(error, () => this.go(name, ...options));
    }
  },

  async refresh() { this.state = await get("/api/state"); },
};

function noToken(text) {
  show("", el("section", { class: "card narrow" },
    el("h1", {}, "Open the link from the terminal"),
    el("p", {}, text),
    el("p", { class: "fine" }, "face-fix prints a new link each time it starts; an older link or page is refused.")));
}

async function start() {
  if (!takeToken()) {
    noToken("This page needs the key that stands in the link which face-fix printed when it started.");
    return;
  }
  try {
    await app.refresh();
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) {
      noToken("This page belongs to an earlier run of face-fix.");
    } else {
      show("", el("p", { class: "loading" }, "Waiting for face-fix…"));
      complain(error, start);
    }
    return;
  }
  await app.go("setup");
}

window.addEventListener("unhandledrejection", (event) => complain(event.reason));
window.addEventListener("hashchange", () => { if (location.hash) start(); });
start();
