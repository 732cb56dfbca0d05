// The keys of the review, and the overlay that lists them.

import { el } from "./dom.js";

/** What the overlay shows: keys, what they do. */
const KEYS = [
  [["Y"], "Yes, wrong: give the marked face to the correct person"],
  [["N"], "No, it is right: leave the marked face where it is"],
  [["1", "…", "9"], "Give the face of that number to the correct person"],
  [["U"], "Take the marked face from everybody; with several faces, then its number (Escape leaves)"],
  [["X"], "It is no face at all; with several faces, then its number. Our own grouping will leave it out too"],
  [["A"], "All faces that are still open are right"],
  [["←", "→"], "Mark another open face"],
  [["S"], "Skip this photo"],
  [["Z"], "Undo the last decision"],
  [["R"], "Try again after an error"],
  [["O"], "Open the photo in Immich"],
  [["H"], "Histogram of distances (threshold coach)"],
  [["Q"], "Quit to the summary"],
  [["Esc"], "Stop a countdown, close this"],
  [["?"], "This list"],
];

/** Opens the list of keys. */
export function showKeys() {
  const rows = KEYS.map(([keys, what]) => [
    el("dt", {}, keys.map((key) => (key === "…" ? " … " : el("kbd", {}, key)))),
    el("dd", {}, what),
  ]);
  return openDialog("Keys", el("dl", { class: "keys" }, rows),
    el("p", { class: "fine" }, "During a countdown any key stops it, and then does what it always does."),
    legend());
}

function legend() {
  return el("p", { class: "legend" },
    el("span", { class: "swatch open" }), "to be decided ",
    el("span", { class: "swatch fix" }), "goes to the correct person ",
    el("span", { class: "swatch keep" }), "right as it is ",
    el("span", { class: "swatch other" }), "somebody else");
}

/** A modal dialog with a title; Escape and its button close it. Returns the dialog. */
export function openDialog(title, ...children) {
  document.querySelector("dialog")?.remove();
  const close = el("button", { class: "quiet", "aria-label": "Close" }, "Close");
  const dialog = el("dialog", { "aria-label": title },
    el("header", {}, el("h2", {}, title), close), ...children);
  close.addEventListener("click", () => dialog.close());
  const before = document.activeElement;
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (before?.isConnected) before.focus();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Whether a dialog is open. */
export const dialogIsOpen = () => document.querySelector("dialog[open]") !== null;
