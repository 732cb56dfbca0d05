// One face to decide, in the list beside the photo: crop, number, state, suggestion.

import { el, nameOf } from "./dom.js";
import { crop, stateClass, stateText } from "./stage.js";

/** Distances beyond this share the end of the bar; two unrelated faces are near 1. */
const BAR_MOST = 1.2;

/** The card. `image` may be missing while it loads. */
export function faceCard(face, image, pair, marked, onPick) {
  const canvas = el("canvas", { class: "crop", role: "img", "aria-label": `Face ${face.number}` });
  if (image && face.area) crop(canvas, image, face.area);
  return el("li", {
    class: `face ${stateClass(face)}${marked ? " marked" : ""}`, "aria-current": marked ? "true" : null,
    on: { click: onPick },
  },
  canvas,
  el("div", { class: "about" },
    el("p", {}, el("span", { class: "tag" }, String(face.number)), " ", stateText(face, pair.correct)),
    face.area ? null : el("p", { class: "fine" }, "Immich does not say where on the photo it is."),
    suggestion(face, pair)));
}

function suggestion({ suggestion: advice }, pair) {
  if (!advice) return null;
  const { to_wrong: wrong, to_correct: correct } = advice;
  const verdict = {
    correct: `looks like ${nameOf(pair.correct)}`, wrong: `looks like ${nameOf(pair.wrong)}`, unsure: "not clear",
  }[advice.verdict];
  const text = el("p", { class: `verdict ${advice.verdict}` }, verdict, advice.note ? el("small", {}, ` ${advice.note}`) : null);
  if (wrong === null || correct === null || wrong === undefined) return text;
  return [text, distanceBar(nameOf(pair.wrong), wrong, "keep"), distanceBar(nameOf(pair.correct), correct, "fix")];
}

function distanceBar(name, distance, kind) {
  return el("p", { class: "distance" },
    el("span", { class: "name" }, name),
    el("meter", {
      class: kind, min: "0", max: String(BAR_MOST), value: Math.min(distance, BAR_MOST),
      "aria-label": `Distance to ${name}`,
    }),
    el("span", { class: "number" }, distance.toFixed(2)));
}
