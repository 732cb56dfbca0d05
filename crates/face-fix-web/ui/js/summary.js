// The last screen: what this session did.

import { count, el, nameOf, show } from "./dom.js";

const ROWS = [
  ["reviewed", "photos reviewed"], ["reassigned", "faces given to the correct person"],
  ["auto_fixed", "of these automatically"], ["unassigned", "faces taken from everybody"],
  ["skipped", "photos skipped"], ["undone", "decisions undone"],
];

/** The screen. */
export async function summary(app, { pair, stats, finished, left }) {
  show("Summary", el("section", { class: "card narrow" },
    el("h1", {}, finished ? "All photos of this pair are done" : "Stopped for now"),
    el("p", {}, `${nameOf(pair.wrong)} → ${nameOf(pair.correct)}`,
      !finished && left !== null ? ` · ${count(left, "photo")} left` : null),
    el("dl", { class: "stats" }, ROWS.map(([key, text]) => [el("dt", {}, text), el("dd", {}, stats[key])])),
    el("p", { class: "fine" }, "Every decision is in the journal on disk; undo still works after a restart."),
    el("div", { class: "row end" },
      finished ? null : el("button", { on: { click: () => app.go("review", pair) } }, "Go on"),
      el("button", { class: "primary", on: { click: () => app.go("setup") } }, "Choose another pair"))));
}
