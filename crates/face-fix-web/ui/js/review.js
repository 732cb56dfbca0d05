// The review: one photo at a time, until every wrong face on it is decided.
//
// The server keeps the truth. This screen holds the photo in front, a few that come
// next, and what the user is about to do; it sends one decision at a time and shows
// what the server says became of it.

import { get, portrait, post, query } from "./api.js";
import { showCoach } from "./coach.js";
import { Countdown } from "./countdown.js";
import { announce, count, el, fill, isTyping, nameOf, pressesAControl, say, show } from "./dom.js";
import { dialogIsOpen, showKeys } from "./keys.js";
import { clearBanner, complain, retryBanner } from "./banner.js";
import { boxes, loadPreview } from "./stage.js";
import { faceCard } from "./facecard.js";

/** Photos fetched ahead with their faces, and how many of their previews. */
const AHEAD = 6;
const PREVIEWS_AHEAD = 3;

/** The buttons that decide a face. */
const DECIDING = ["yes", "no", "unassign", "no_face", "rest"];

/** What picking a face by its number is for. */
const PICKING = {
  unassign: "Unassign which face? Press its number; Escape leaves.",
  no_face: "Which one is no face? Press its number; Escape leaves.",
};

/** The screen. `pair` is { wrong, correct, filter, auto, delay, margin, skipBoth }. */
export async function review(app, pair) {
  const screen = new Review(app, pair);
  await screen.begin();
}

class Review {
  constructor(app, pair) {
    this.app = app;
    this.pair = pair;
    this.ids = { wrong: pair.wrong.id, correct: pair.correct.id };
    this.rule = { margin: pair.margin, trust_order: pair.trustOrder };
    this.coming = [];
    this.queue = null;
    this.after = 0;
    this.ended = false;
    this.total = null;
    this.photo = null;
    this.image = null;
    this.marked = null;
    this.picking = null;
    this.sending = false;
    this.stats = null;
    this.fetching = null;
    this.gone = false;
    this.onKey = (event) => this.key(event);
    this.tabs = new BroadcastChannel("face-fix");
    this.tabs.onmessage = ({ data }) => this.changedElsewhere(data);
  }

  async begin() {
    this.build();
    this.app.leave = () => this.end();
    document.addEventListener("keydown", this.onKey);
    await this.advance();
  }

  end() {
    this.gone = true;
    this.countdown.stop();
    this.tabs.close();
    document.removeEventListener("keydown", this.onKey);
  }

  // ---- layout

  build() {
    const { wrong, correct } = this.pair;
    const person = (who, label) => el("span", { class: "who" },
      portrait(el("img", { alt: "", width: "36", height: "36" }), who.id),
      el("span", {}, el("small", {}, label), el("b", {}, nameOf(who))));
    this.place = el("p", { class: "place" });
    this.progress = el("progress", { "aria-label": "Progress" });
    this.frame = el("div", { class: "frame" });
    this.caption = el("p", { class: "caption" });
    this.list = el("ol", { class: "faces", "aria-label": "Faces to decide" });
    this.hint = el("p", { class: "hint", role: "status" });
    const timer = el("div", { class: "countdown", role: "timer", hidden: true });
    this.countdown = new Countdown(timer);
    this.buttons = {};
    const button = (key, text, what, title) => {
      const node = el("button", { title, on: { click: () => this.press(what) } }, text, " ", el("kbd", {}, key));
      this.buttons[what] = node;
      return node;
    };
    show("Review", el("div", { class: "review" },
      el("h1", { class: "sr" }, `Faces of ${nameOf(wrong)} that may be ${nameOf(correct)}`),
      el("header", { class: "bar" },
        el("div", { class: "pair" }, person(wrong, "wrong"), el("span", { "aria-hidden": "true" }, "→"), person(correct, "correct")),
        el("div", { class: "progress" }, this.place, this.progress),
        el("nav", { "aria-label": "Session" },
          button("Z", "Undo", "undo"), button("H", "Distances", "coach"),
          button("?", "Keys", "keys"), button("Q", "Quit", "quit"))),
      el("section", { class: "stage", "aria-label": "Photo" }, this.frame, this.caption),
      el("aside", { class: "side" }, this.hint, timer, this.list,
        el("div", { class: "actions" },
          button("Y", "Give to correct", "yes"), button("N", "It is right", "no"),
          button("U", "Unassign", "unassign", "Take it from everybody"), button("X", "No face", "no_face", "It is no face at all"),
          button("A", "Rest is right", "rest"),
          button("S", "Skip photo", "skip")))));
    const { read_only: readOnly, dry_run: dryRun } = this.app.state;
    if (readOnly || dryRun) this.place.before(el("b", { class: "mode" }, readOnly ? "read only" : "dry run"));
  }

  // ---- the photos

  /** Fetches more photos when few are left. One request at a time. */
  ahead() {
    if (this.ended || this.coming.length >= AHEAD / 2) return Promise.resolve();
    this.fetching ??= post("/api/next", {
      ...this.ids, filter: this.pair.filter, skip_both: this.pair.skipBoth,
      ...this.rule, queue: this.queue, after: this.after, n: AHEAD,
    }).then((answer) => {
      // A new list (the server lost the old one) may bring photos that are here already.
      const here = new Set([this.photo?.asset, ...this.coming.map((photo) => photo.asset)]);
      if (answer.queue !== this.queue) answer.photos = answer.photos.filter((photo) => !here.has(photo.asset));
      this.queue = answer.queue;
      this.after = answer.after;
      this.ended = answer.ended;
      this.total = answer.total;
      this.complete = answer.complete;
      this.stats = answer.stats;
      this.coming.push(...answer.photos);
      this.preload();
    }).finally(() => { this.fetching = null; });
    return this.fetching;
  }

  preload() {
    for (const photo of this.coming.slice(0, PREVIEWS_AHEAD)) loadPreview(photo.asset).catch(() => {});
  }

  /** Shows the next photo, or the summary when there is none. */
  async advance() {
    this.photo = null;
    this.image = null;
    this.marked = null;
    this.picking = null;
    try {
      while (this.coming.length === 0 && !this.ended) {
        if (!this.fetching) this.waitingForPhotos();
        await this.ahead();
        if (this.gone) return;
      }
    } catch (error) {
      if (!this.gone) complain(error, () => this.advance());
      return;
    }
    if (this.coming.length === 0) {
      await this.app.go("summary", { pair: this.pair, stats: this.stats, finished: true, left: 0 });
      return;
    }
    await this.open(this.coming.shift(), true);
    this.preload();
    this.ahead().catch(() => { /* asked again, visibly, when it is needed */ });
  }

  waitingForPhotos() {
    fill(this.frame, el("p", { class: "loading" }, "Looking for the next photo…"));
    fill(this.list);
    fill(this.caption);
  }

  /** Puts a photo in front. `mayAuto` is false after an undo. */
  async open(photo, mayAuto) {
    this.photo = photo;
    this.image = null;
    this.picking = null;
    this.marked = this.openFaces()[0]?.id ?? null;
    this.render();
    announce(`${this.place.textContent}: ${photo.file_name ?? "a photo without a name"}`);
    try {
      const image = await loadPreview(photo.asset);
      if (this.gone || this.photo?.asset !== photo.asset) return;
      this.image = image;
      this.render();
      if (mayAuto) this.auto();
    } catch (error) {
      if (this.gone || this.photo?.asset !== photo.asset) return;
      complain(error, () => this.open(photo, mayAuto));
    }
  }

  openFaces() { return this.photo ? this.photo.faces.filter((face) => face.state === "open") : []; }

  // ---- drawing

  render() {
    const { photo } = this;
    const { correct } = this.pair;
    // Boxes are drawn anew: whoever was on one stays on it.
    const focused = document.activeElement?.dataset?.face;
    const pick = (face) => { if (face.state === "open") { this.marked = face.id; this.render(); } };
    fill(this.frame, this.image
      ? el("div", { class: "photo" }, this.image, boxes(photo, correct, this.marked, pick))
      : el("p", { class: "loading" }, "Loading the photo…"));
    if (this.image) {
      this.image.alt = `Photo ${photo.file_name ?? photo.asset}`;
      this.frame.firstChild.style.setProperty("--ratio", `${this.image.naturalWidth / this.image.naturalHeight}`);
    }
    fill(this.caption, photo.file_name ?? "", photo.taken ? ` · ${photo.taken.slice(0, 10)}` : "", " · ",
      el("a", { href: photo.link, target: "_blank", rel: "noreferrer noopener" }, "open in Immich"));
    const ours = photo.faces.filter((face) => face.number !== null);
    const cards = ours.map((face) => faceCard(face, this.image, this.pair, face.id === this.marked, () => pick(face)));
    fill(this.list, cards);
    if (focused) this.frame.querySelector(`[data-face="${CSS.escape(focused)}"]`)?.focus();
    this.list.querySelector(".face.marked")?.scrollIntoView({ block: "nearest" });
    this.renderState();
  }

  renderState() {
    const { photo, stats } = this;
    // A button that is disabled loses the focus; it gets it back when it is of use again.
    const held = Object.values(this.buttons).find((button) => button === document.activeElement);
    if (held) this.held = held;
    const open = this.openFaces().length;
    const still = !this.app.state.read_only && !this.sending && open > 0;
    for (const what of DECIDING) this.buttons[what].disabled = !still;
    this.buttons.rest.hidden = open < 2;
    this.buttons.skip.disabled = this.app.state.read_only || this.sending;
    this.buttons.undo.disabled = this.app.state.read_only || this.sending;
    const total = this.total ?? 0;
    const left = Math.max(0, total - photo.position);
    const all = this.complete ? `${total}` : `${total}+`;
    fill(this.place, photo.position ? `Photo ${photo.position} / ${all} (${left} left)` : "A photo from before",
      stats ? ` · ${stats.reviewed} reviewed` : "");
    this.progress.max = Math.max(1, total);
    this.progress.value = photo.position;
    const { wrong, correct } = this.pair;
    const hint = [this.picking ? PICKING[this.picking]
      : this.countdown.runs ? "The rule is about to decide."
      : open === 0 ? "Every face on this photo is decided."
        : open === 1 && photo.faces.filter((face) => face.number !== null).length === 1
          ? `Is this ${nameOf(correct)} rather than ${nameOf(wrong)}?`
          : `${count(open, "face")} of ${nameOf(wrong)} to decide.`,
    open > 0 && photo.correct_present ? ` ${nameOf(correct)} is on the photo already.` : ""].join("");
    // Said again only when it changes.
    if (this.hint.textContent !== hint) this.hint.textContent = hint;
    const lost = document.activeElement === document.body || document.activeElement === held;
    if (this.held && lost && !this.held.disabled) this.held.focus();
    this.hint.classList.toggle("picking", Boolean(this.picking));
  }

  // ---- auto-fix

  /** Acts, or counts down to acting, when every open face has a clear verdict. */
  auto() {
    const mode = this.pair.auto;
    const faces = this.openFaces();
    if (mode === "off" || faces.length === 0 || this.app.state.read_only) return;
    const verdicts = faces.map((face) => face.suggestion?.verdict ?? "unsure");
    if (verdicts.some((verdict) => verdict === "unsure")) return;
    const decisions = faces.map((face, at) => ({
      face: face.id, action: verdicts[at] === "correct" ? "fix" : "keep",
    }));
    const fixes = decisions.filter((decision) => decision.action === "fix").length;
    const act = () => this.send(decisions, true);
    if (mode === "instant") {
      act();
      return;
    }
    faces.forEach((face, at) => { face.state = verdicts[at] === "correct" ? "will_fix" : "will_keep"; });
    this.render();
    this.countdown.start(this.pair.delay,
      fixes > 0 ? `${count(fixes, "face")} to ${nameOf(this.pair.correct)}` : "All faces judged right: next photo", act);
    this.renderState();
    // The buttons stay of use: what they do stops the countdown first.
    for (const what of DECIDING) this.buttons[what].disabled = false;
  }

  /** Stops a running countdown and opens its faces again. Returns whether one ran. */
  stopCountdown() {
    if (!this.countdown.stop()) return false;
    for (const face of this.photo.faces) {
      if (face.state === "will_fix" || face.state === "will_keep") face.state = "open";
    }
    this.marked ??= this.openFaces()[0]?.id ?? null;
    this.render();
    return true;
  }

  // ---- decisions

  /**
   * Sends decisions about faces of the photo in front and goes on when none is open.
   * @param {{face: string, action: "fix"|"keep"|"unassign"|"no_face"}[]} decisions
   */
  async send(decisions, auto = false) {
    if (this.sending || !this.photo || this.app.state.read_only) return;
    const { photo } = this;
    const before = new Map(photo.faces.map((face) => [face.id, face.state]));
    for (const { face: id } of decisions) photo.faces.find((face) => face.id === id).state = "saving";
    this.sending = true;
    clearBanner();
    this.render();
    try {
      const answer = await post("/api/decide", { ...this.ids, asset: photo.asset, ...this.rule, auto, decisions });
      this.sending = false;
      if (this.gone) return;
      this.stats = answer.stats;
      this.tabs.postMessage({ ...this.ids, asset: photo.asset });
      if (answer.note) say(answer.note);
      if (answer.photo) await this.afterDecision(photo, answer.photo);
      else if (this.openFaces().length > 0) await this.reload(answer.note);
      else await this.advance();
    } catch (error) {
      this.sending = false;
      if (this.gone) return;
      for (const face of photo.faces) {
        const state = before.get(face.id);
        if (face.state === "saving") face.state = state === "will_fix" || state === "will_keep" ? "open" : state;
      }
      if (error.kind === "conflict") {
        await this.reload(error.message);
      } else if (error.kind === "waiting") {
        this.render();
        complain(error, () => this.resume());
      } else {
        this.render();
        complain(error, () => this.send(decisions, auto));
      }
    }
  }

  async afterDecision(photo, fresh) {
    if (fresh.faces.some((face) => face.state === "open")) {
      fresh.position ||= photo.position;
      this.photo = fresh;
      this.marked = this.openFaces()[0]?.id ?? null;
      this.picking = null;
      this.render();
    } else {
      await this.advance();
    }
  }

  /**
   * Takes the photo in front from the server again: somebody else changed it. Says why,
   * or `gone` when there is no such photo any more; that one is left behind.
   */
  async reload(why, gone = `${why} This photo is not in Immich any more.`) {
    const { photo } = this;
    if (!photo) return;
    try {
      const fresh = await get(`/api/photo/${photo.asset}${query({ ...this.ids, ...this.rule })}`);
      if (this.gone) return;
      say(why, 6);
      await this.afterDecision(photo, fresh);
    } catch (error) {
      if (this.gone) return;
      if (error.kind !== "missing") {
        complain(error, () => this.reload(why, gone));
        return;
      }
      say(gone, 6);
      await this.advance();
    }
  }

  /** Sends what waits in the journal, then looks at the photo again. */
  async resume() {
    if (this.sending) return;
    this.sending = true;
    try {
      await post("/api/resume");
      this.sending = false;
      if (!this.gone && this.photo) await this.reload("Immich is back; what waited was sent.");
    } catch (error) {
      this.sending = false;
      if (!this.gone) complain(error, () => this.resume());
    }
  }

  changedElsewhere({ wrong, correct, asset }) {
    if (wrong !== this.ids.wrong || correct !== this.ids.correct) return;
    this.coming = this.coming.filter((photo) => photo.asset !== asset);
    if (this.photo?.asset === asset && !this.sending) {
      this.stopCountdown();
      this.reload("Another tab changed this photo.");
    }
  }

  async skip() {
    if (this.sending || !this.photo || this.app.state.read_only) return;
    const { photo } = this;
    this.sending = true;
    clearBanner();
    this.renderState();
    try {
      const answer = await post("/api/skip", { ...this.ids, asset: photo.asset });
      this.sending = false;
      this.stats = answer.stats;
      this.tabs.postMessage({ ...this.ids, asset: photo.asset });
      if (!this.gone) await this.advance();
    } catch (error) {
      this.sending = false;
      this.renderState();
      complain(error, () => this.skip());
    }
  }

  /**
   * Takes the last decision back, or goes on with the one that a refusal named: by then
   * another may be the last.
   * @param {number|null} transaction
   */
  async undo(transaction = null) {
    if (this.sending || this.app.state.read_only) return;
    this.sending = true;
    clearBanner();
    if (this.photo) this.renderState();
    let answer;
    try {
      answer = await post("/api/undo", { ...this.ids, ...this.rule, transaction });
    } catch (error) {
      this.sending = false;
      if (this.photo) this.renderState();
      complain(error, () => this.undo(error.transaction ?? transaction));
      return;
    }
    // It is done: whatever fails from here on must not do it again.
    this.sending = false;
    if (this.gone) return;
    this.stats = answer.stats;
    say(answer.text, 6);
    const { asset, photo } = answer;
    const current = this.photo;
    const isInFront = Boolean(asset) && current?.asset === asset;
    if (asset) {
      this.coming = this.coming.filter((other) => other.asset !== asset);
      this.tabs.postMessage({ ...this.ids, asset });
    }
    if (photo) {
      if (isInFront) photo.position = current.position;
      else if (current) this.coming.unshift(current);
      await this.open(photo, false);
    } else if (isInFront) await this.reload(answer.text, answer.text);
    else if (current) await this.open(current, false);
    else await this.advance();
  }

  quit() {
    const left = this.photo ? Math.max(0, (this.total ?? 0) - this.photo.position + 1) : null;
    const none = { reviewed: 0, reassigned: 0, auto_fixed: 0, unassigned: 0, skipped: 0, undone: 0 };
    this.app.go("summary", { pair: this.pair, stats: this.stats ?? none, finished: false, left });
  }

  // ---- keys

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || dialogIsOpen() || isTyping(event)) return;
    if (["Shift", "Control", "Alt", "Meta", "Tab"].includes(event.key)) return;
    const stopped = this.countdown.runs && this.stopCountdown();
    if (pressesAControl(event) && !stopped) return;
    const what = this.meaning(event);
    if (event.key === "Escape") {
      if (!stopped && this.picking) { this.picking = null; this.renderState(); }
      return;
    }
    if (what === null) return;
    event.preventDefault();
    if (!event.repeat || what === "next" || what === "previous") this.press(what);
  }

  meaning({ key }) {
    if (/^[1-9]$/.test(key)) return key;
    return {
      y: "yes", n: "no", u: "unassign", x: "no_face", a: "rest", s: "skip", z: "undo", q: "quit", h: "coach", o: "immich",
      r: "retry", "?": "keys", arrowright: "next", arrowdown: "next", arrowleft: "previous", arrowup: "previous",
    }[key.toLowerCase()] ?? null;
  }

  /** Does what a key or button means. */
  press(what) {
    this.stopCountdown();
    const open = this.openFaces();
    const marked = open.find((face) => face.id === this.marked) ?? open[0];
    const decide = (face, action) => face && this.send([{ face: face.id, action }]);
    if (/^[1-9]$/.test(what)) {
      const face = open.find((other) => other.number === Number(what));
      if (!face) { say(`There is no open face ${what}.`, 2); return; }
      decide(face, this.picking || "fix");
      this.picking = null;
      return;
    }
    switch (what) {
      case "yes": decide(marked, this.picking || "fix"); this.picking = null; break;
      case "no": decide(marked, "keep"); break;
      case "unassign": case "no_face":
        if (open.length > 1 && this.picking !== what) { this.picking = what; this.renderState(); } else decide(marked, what);
        break;
      case "rest": if (open.length) this.send(open.map((face) => ({ face: face.id, action: "keep" }))); break;
      case "skip": this.skip(); break;
      case "undo": this.undo(); break;
      case "quit": this.quit(); break;
      case "keys": showKeys(); break;
      case "coach": showCoach(this.pair).catch((error) => complain(error, () => this.press("coach"))); break;
      case "immich": if (this.photo) window.open(this.photo.link, "_blank", "noopener,noreferrer"); break;
      case "retry": retryBanner(); break;
      case "next": case "previous": {
        const at = open.indexOf(marked);
        const to = open[(at + (what === "next" ? 1 : open.length - 1)) % open.length];
        if (to) { this.marked = to.id; this.render(); }
        break;
      }
      default:
    }
  }
}
