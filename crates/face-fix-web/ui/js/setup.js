// The first screen: who is mixed up with whom, and how to go about it.

import { get, portrait, post } from "./api.js";
import { complain } from "./banner.js";
import { count, el, fill, nameOf, say, show } from "./dom.js";
import { openDialog } from "./keys.js";

/** Cards drawn at once in a grid; the search narrows thousands of people down. */
const MAX_CARDS = 300;

const DEFAULTS = {
  filter: "both", auto: "confirm", delay: 3, margin: 0.1, skipBoth: true, trustOrder: false,
};

/** Settings kept in this browser; what to do with faces is kept by the server. */
export function settings() {
  try {
    return { ...DEFAULTS, ...JSON.parse(localStorage.getItem("face-fix-settings") ?? "{}") };
  } catch {
    return { ...DEFAULTS };
  }
}

const keep = (chosen) => localStorage.setItem("face-fix-settings", JSON.stringify(chosen));

const LAST = "face-fix-pair";

/** The pair chosen last in this browser, else the one decided on last. */
function lastPair(state) {
  try {
    return JSON.parse(localStorage.getItem(LAST) ?? "null") ?? state.last_pair;
  } catch {
    return state.last_pair;
  }
}

/** The screen. */
export async function setup(app) {
  show("", el("p", { class: "loading" }, "Loading people…"));
  await app.refresh();
  const { people } = await get("/api/people");
  const byId = new Map(people.map((person) => [person.id, person]));
  const chosen = settings();
  const pair = { wrong: null, correct: null };
  const last = lastPair(app.state);
  if (last) {
    // People whom no list has are asked for by their id.
    const person = async (id) => byId.get(id) ?? await get(`/api/person/${id}`).catch(() => null);
    [pair.wrong, pair.correct] = await Promise.all([person(last.wrong), person(last.correct)]);
    for (const one of [pair.wrong, pair.correct]) if (one && !byId.has(one.id)) people.push(one);
  }

  const begin = el("button", { class: "primary", on: { click: () => start() } }, "Start the review");
  const hint = el("p", { class: "fine", role: "status" });
  const session = el("div", {});
  const start = () => {
    localStorage.setItem(LAST, JSON.stringify({ wrong: pair.wrong.id, correct: pair.correct.id }));
    app.go("review", { wrong: pair.wrong, correct: pair.correct, ...chosen });
  };

  const changed = () => {
    const same = pair.wrong && pair.wrong === pair.correct;
    begin.disabled = !pair.wrong || !pair.correct || same;
    fill(hint, same ? "Choose two different people."
      : !pair.wrong ? "Choose the person who has faces that are not theirs."
        : !pair.correct ? "Choose the person these faces belong to." : null);
    fill(session, sessionOf(app, pair, changed));
  };

  const shown = people.length;
  const small = new SmallPeople(people);
  show("",
    el("header", { class: "title" },
      el("h1", {}, "face-fix"),
      el("p", { class: "fine" }, `Immich at ${app.state.immich} · ${count(shown, "person", "people")}`)),
    modeNotes(app.state),
    el("div", { class: "pickers" },
      picker("Wrong person", "has faces of somebody else", people, pair.wrong, small, (person) => { pair.wrong = person; changed(); }),
      picker("Correct person", "whose faces they are", people, pair.correct, small, (person) => { pair.correct = person; changed(); })),
    session,
    options(chosen, app.state),
    background(),
    el("div", { class: "row end" }, hint,
      el("button", {
        on: { click: () => (pair.wrong ? app.go("split", pair.wrong) : say("Choose the wrong person first.")) },
      }, "Split the wrong person…"),
      begin));
  changed();
}

/** Why single faces are moved, and the figures that Immich works with. */
function background() {
  return el("details", { class: "card" },
    el("summary", {}, "Why not change Immich's settings and recognise everything again?"),
    el("p", {}, "Its distance holds for everybody: lowered far enough to part two sisters it breaks up people who were fine, takes hours, and a reset forgets what was corrected by hand. Moving single faces touches nobody else, and each one is an example for what Immich recognises from then on, so correcting a part helps already."),
    el("p", { class: "fine" }, "As installed: faces at most 0.5 apart are one person (0 is the same picture, unrelated people are near 1, 2 is the most), a person needs 3 faces, a face a detection score of 0.7. Twins as babies are 0.3 to 0.4 apart, nearer than many a person is to their own pictures."));
}

/** What this run cannot do, and why. */
function modeNotes(state) {
  const notes = [];
  if (state.read_only) notes.push(el("li", {}, el("b", {}, "Read only: "), "you can look at everything and change nothing."));
  if (state.dry_run) notes.push(el("li", {}, el("b", {}, "Dry run: "), "decisions are shown and counted, and nothing is sent to Immich."));
  for (const lack of state.missing) {
    notes.push(el("li", {}, `The API key lacks ${lack.permissions.join(", ")}: it ${lack.what}.`));
  }
  return notes.length ? el("ul", { class: "notes" }, notes) : null;
}

/** An id of the server, also within a link to a person's page. */
const ID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/;

/**
 * Whom to choose from. `small` finds people who are in no list: `draw` is called when there
 * are more, `text` says how far it is.
 */
function picker(title, what, people, first, small, onChoose) {
  let chosen = first;
  const grid = el("div", { class: "grid", role: "group", "aria-label": title });
  const search = el("input", {
    type: "search", placeholder: "Name, or a link to the person", "aria-label": `Search: ${title}`,
    on: { input: () => { draw(); small.byId(search.value.toLowerCase().match(ID)?.[0]); } },
  });
  const unnamed = el("input", { type: "checkbox", on: { change: () => draw() } });
  const hidden = el("input", { type: "checkbox", on: { change: () => draw() } });
  const more = el("p", { class: "fine", role: "status" });
  const few = el("div", { class: "fine few" });
  if (chosen?.hidden) hidden.checked = true;
  if (chosen && !chosen.name) unnamed.checked = true;

  const draw = () => {
    const wanted = search.value.trim().toLocaleLowerCase();
    const id = wanted.match(ID)?.[0];
    const fits = people.filter((person) => (id ? person.id === id
      : (unnamed.checked || person.name || person === chosen)
        && (hidden.checked || !person.hidden || person === chosen)
        && nameOf(person).toLocaleLowerCase().includes(wanted)));
    fill(grid, fits.slice(0, MAX_CARDS).map((person) => card(person)));
    fill(more, fits.length > MAX_CARDS ? `${count(fits.length - MAX_CARDS, "more", "more")}: search to find them` : null,
      fits.length === 0 ? (id ? "Nobody has this id." : "Nobody of that name.") : null);
    few.hidden = !unnamed.checked;
    fill(few, "Immich lists unnamed people only from 3 faces on (unless its administrator changed that). ", small.state());
  };
  small.pickers.push(draw);
  const card = (person) => el("button", {
    class: `person${person === chosen ? " chosen" : ""}`, type: "button",
    "aria-pressed": person === chosen ? "true" : "false",
    title: nameOf(person),
    on: {
      click: (event) => {
        chosen = person;
        for (const other of grid.children) other.classList.remove("chosen");
        for (const other of grid.children) other.setAttribute("aria-pressed", "false");
        event.currentTarget.classList.add("chosen");
        event.currentTarget.setAttribute("aria-pressed", "true");
        onChoose(person);
      },
    },
  }, portrait(el("img", { alt: "", width: "72", height: "72" }), person.id),
  el("span", {}, nameOf(person)),
  person.hidden ? el("small", {}, "hidden") : null,
  person.n_photos ? el("small", {}, count(person.n_photos, "photo")) : null);
  draw();
  return el("section", { class: "card" },
    el("h2", {}, title, " ", el("small", {}, what)),
    el("div", { class: "row" }, search,
      el("label", {}, unnamed, " unnamed"), el("label", {}, hidden, " hidden")),
    grid, more, few);
}

/** Finding unnamed people whom Immich does not list: on all photos, or one by their id. */
class SmallPeople {
  constructor(people) {
    this.people = people;
    this.pickers = [];
    this.told = null;
    this.asked = new Set(people.map((person) => person.id));
  }

  draw() { for (const draw of this.pickers) draw(); }

  add(found) {
    for (const person of found) {
      if (this.asked.has(person.id)) continue;
      this.asked.add(person.id);
      this.people.push({ name: "", hidden: false, favourite: false, ...person });
    }
    this.draw();
  }

  state() {
    if (this.told) return this.told;
    return el("button", { class: "look", on: { click: () => this.look() } }, "Look for them on all photos");
  }

  /** Walks all photos; asks again until it is through or another screen is shown. */
  async look() {
    try {
      for (;;) {
        const answer = await post("/api/people/small");
        const found = count(answer.people.length, "unnamed person", "unnamed people");
        this.told = answer.done
          ? `Found ${found} on ${count(answer.n_photos, "photo")}.${answer.cut ? " There are more: Immich shows them on their photos, and a link to one finds them here." : ""}`
          : `Looking: ${found} on ${count(answer.n_photos, "photo")} so far…`;
        if (answer.done) this.add(answer.people);
        this.draw();
        if (answer.done || document.body.dataset.screen !== "setup") return;
        await new Promise((soon) => { setTimeout(soon, 300); });
      }
    } catch (error) {
      this.told = null;
      this.draw();
      complain(error, () => this.look());
    }
  }

  /** Asks for a person by id; who is not there is nobody. */
  async byId(id) {
    if (!id || this.asked.has(id)) return;
    try {
      this.add([await get(`/api/person/${id}`)]);
    } catch (error) {
      if (error.kind !== "missing" && error.kind !== "invalid") complain(error);
    }
  }
}

/** What was done with this pair before, and the way to forget it. */
function sessionOf(app, pair, changed) {
  const found = app.state.sessions.find((s) => s.wrong === pair.wrong?.id && s.correct === pair.correct?.id);
  if (!found) return null;
  const reset = el("button", {
    class: "quiet", disabled: app.state.read_only,
    on: {
      click: () => {
        const go = el("button", { class: "primary" }, "Reset session");
        const dialog = openDialog("Reset session?",
          el("p", {}, "Every photo of this pair is shown again. Decisions stay in the journal and can still be undone; what you said of a face still binds suggestions."),
          el("div", { class: "row end" }, go));
        go.addEventListener("click", async () => {
          dialog.close();
          try {
            await post("/api/reset", { wrong: pair.wrong.id, correct: pair.correct.id });
            await app.refresh();
            changed();
            say("The session starts afresh.");
          } catch (error) {
            complain(error);
          }
        });
      },
    },
  }, "Reset session");
  return el("section", { class: "card session" },
    el("p", {}, el("b", {}, "Earlier session: "), statsText(found.stats)), reset);
}

/** The counts of a session in words. */
export function statsText(stats) {
  return [
    `${stats.reviewed} reviewed`, `${stats.reassigned} reassigned`, `${stats.auto_fixed} of them automatically`,
    `${stats.unassigned} unassigned`, `${stats.skipped} skipped`, `${stats.undone} undone`,
  ].join(" · ");
}

function options(chosen, state) {
  const set = (name, value) => { chosen[name] = value; keep(chosen); };
  const select = (name, choices) => el("select", {
    on: { change: (event) => set(name, event.target.value) },
  }, choices.map(([value, text]) => el("option", { value, selected: chosen[name] === value }, text)));
  const number = (name, min, max, step) => el("input", {
    type: "number", min, max, step, value: chosen[name],
    on: {
      change: (event) => {
        const given = Number(event.target.value);
        const good = Number.isFinite(given) ? Math.min(max, Math.max(min, given)) : DEFAULTS[name];
        event.target.value = good;
        set(name, good);
      },
    },
  });
  const check = (name, text) => el("label", { class: "check" }, el("input", {
    type: "checkbox", checked: chosen[name], on: { change: (event) => set(name, event.target.checked) },
  }), " ", text);
  return el("section", { class: "card options" },
    el("h2", {}, "How to go about it"),
    el("label", {}, el("span", {}, "Photos"), select("filter", [
      ["both", "all"], ["duplicates", "only with several wrong faces, or both people"], ["solos", "only with one wrong face"],
    ])),
    el("label", {}, el("span", {}, "Auto-fix"), select("auto", [
      ["off", "off: you decide every face"], ["confirm", "confirm: after a countdown"], ["instant", "instant: without waiting"],
    ])),
    el("label", {}, el("span", {}, "Countdown, seconds"), number("delay", 1, 30, 1)),
    el("label", {}, el("span", {}, "Margin for auto-fix"), number("margin", 0, 1, 0.01)),
    el("p", { class: "fine" }, state.advice, " ",
      "A face is fixed by itself only when it is nearer to the correct person than to the wrong one by at least the margin; equal is enough. A larger margin leaves more to you and errs less."),
    state.has_own_faces ? null : check("trustOrder", "Let auto-fix trust Immich's order (it knows no distances, so the margin does not apply)"),
    check("skipBoth", "Skip photos where both people already appear"));
}
