// A countdown that the user can see and stop with any key.

import { announce, el, fill } from "./dom.js";

/** One countdown at a time, drawn into `place`. */
export class Countdown {
  /** @param {HTMLElement} place */
  constructor(place) {
    this.place = place;
    this.timer = 0;
    this.done = null;
  }

  get runs() { return this.timer !== 0; }

  /**
   * Counts `seconds` down, saying `what` will happen, then calls `done`.
   * @param {number} seconds @param {string} what @param {() => void} done
   */
  start(seconds, what, done) {
    this.stop();
    const until = performance.now() + seconds * 1000;
    const bar = el("progress", { max: String(seconds), "aria-hidden": "true" });
    const left = el("span", { class: "left" });
    fill(this.place, el("span", {}, what), " ", left, bar, el("span", { class: "fine" }, "any key stops"));
    this.place.hidden = false;
    announce(`${what}, in ${seconds} seconds. Any key stops.`);
    const tick = () => {
      const rest = Math.max(0, until - performance.now()) / 1000;
      bar.value = rest;
      left.textContent = `in ${Math.ceil(rest)} s`;
      if (rest > 0) return;
      this.stop();
      done();
    };
    this.timer = setInterval(tick, 100);
    tick();
  }

  /** Stops it. Returns whether one ran. */
  stop() {
    const ran = this.runs;
    clearInterval(this.timer);
    this.timer = 0;
    this.place.hidden = true;
    this.place.replaceChildren();
    return ran;
  }
}
