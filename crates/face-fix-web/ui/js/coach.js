// The threshold coach: how far the faces of the two people lie from each other, where
// to cut, and how often that cut would have been wrong on what was decided so far.

import { get, query } from "./api.js";
import { el, nameOf } from "./dom.js";
import { openDialog } from "./keys.js";

/** Opens the dialog for a pair. */
export async function showCoach(pair) {
  const coach = await get(`/api/coach${query({
    wrong: pair.wrong.id, correct: pair.correct.id, margin: pair.margin, trust_order: pair.trustOrder,
  })}`);
  if (!coach.available) {
    openDialog("Threshold coach", el("p", {}, coach.note));
    return;
  }
  openDialog("Threshold coach",
    el("p", {}, `Distances between faces of one person, and between ${nameOf(pair.wrong)} and ${nameOf(pair.correct)}.`),
    histogram(coach),
    el("dl", { class: "stats" },
      el("dt", {}, "suggested cut"), el("dd", {}, coach.cut === null ? "none" : coach.cut.toFixed(3)),
      el("dt", {}, "errors at that cut"), el("dd", {}, coach.error_text),
      el("dt", {}, `the rule with margin ${pair.margin} would have decided`), el("dd", {}, coach.trial_text)),
    coach.overlap ? el("p", { class: "warn" }, "The two people overlap: no cut tells them apart well. Decide by hand.") : null,
    el("p", { class: "fine" }, coach.note));
}

const WIDTH = 560;
const HEIGHT = 180;
const FOOT = 24;

function svg(tag, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

/** Two histograms over the same axis, as shares of their own totals, and the cut. */
function histogram({ bins, cut, max_distance: most, n_same: nSame, n_different: nDifferent }) {
  const share = (n, all) => (all ? n / all : 0);
  const top = Math.max(1e-9, ...bins.map((bin) => Math.max(share(bin.same, nSame), share(bin.different, nDifferent))));
  const x = (distance) => (distance / most) * WIDTH;
  const chart = svg("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT + FOOT}`, class: "histogram", role: "img",
    "aria-label": `Histogram: ${nSame} distances within one person, ${nDifferent} between the two people`
      + (cut === null ? "" : `, cut at ${cut.toFixed(3)}`),
  });
  for (const bin of bins) {
    const bar = (n, all, kind) => {
      const height = (share(n, all) / top) * HEIGHT;
      const width = x(bin.to - bin.from);
      const at = kind === "same" ? x(bin.from) : x(bin.from) + width / 2;
      chart.append(svg("rect", { x: at, y: HEIGHT - height, width: Math.max(1, width / 2 - 0.5), height, class: kind }));
    };
    bar(bin.same, nSame, "same");
    bar(bin.different, nDifferent, "different");
  }
  for (let tick = 0; tick <= most + 1e-9; tick += 0.2) {
    const anchor = tick === 0 ? "start" : x(tick) > WIDTH - 10 ? "end" : "middle";
    chart.append(svg("text", { x: x(tick), y: HEIGHT + 18, class: "axis", "text-anchor": anchor }, tick.toFixed(1)));
  }
  if (cut !== null) {
    chart.append(svg("line", { x1: x(cut), x2: x(cut), y1: 0, y2: HEIGHT, class: "cut" }));
    chart.append(svg("text", { x: Math.min(x(cut) + 5, WIDTH - 80), y: 14, class: "axis" }, `cut ${cut.toFixed(2)}`));
  }
  return el("figure", {}, chart, el("figcaption", { class: "legend" },
    el("span", { class: "swatch keep" }), `one person (${nSame}) `,
    el("span", { class: "swatch open" }), `the two people (${nDifferent})`));
}
