// The photo with its boxes, and the crops beside it.
//
// Boxes come as fractions of the upright picture, so percentages place them whatever
// size the picture is shown at, and nothing has to be redrawn when the window changes.

import { picture, previewPath } from "./api.js";
import { el, nameOf } from "./dom.js";

/** Longest edge of a crop on screen, in CSS pixels, and how much around the face it shows. */
const CROP_PX = 120;
const CROP_MARGIN = 0.2;

/** What the label of a face says beside its number. */
export function stateText(face, correct) {
  switch (face.state) {
    case "open": return "to decide";
    case "will_fix": return `will go to ${nameOf(correct)}`;
    case "will_keep": return "judged right";
    case "saving": return "saving…";
    case "fixed": return `given to ${nameOf(correct)}`;
    case "kept": return "right as it is";
    case "unassigned": return "taken from everybody";
    case "no_face": return "no face";
    default: return face.person ? nameOf(face.person) : "nobody";
  }
}

/** The colour class of a face. */
export const stateClass = (face) => ({
  open: "open", will_fix: "fix", fixed: "fix", will_keep: "keep", kept: "keep",
  unassigned: "none", no_face: "none", saving: "saving",
}[face.state] ?? "other");

/** Whether this face is one to be decided on. */
export const isOurs = (face) => face.number !== null && face.number !== undefined;

/** The boxes over a photo. */
export function boxes(photo, correct, marked, onPick) {
  return photo.faces.filter((face) => face.area).map((face) => {
    const [x1, y1, x2, y2] = face.area;
    const label = isOurs(face)
      ? el("span", { class: "tag" }, String(face.number))
      : el("span", { class: "tag" }, face.person ? nameOf(face.person) : "nobody");
    const box = el("button", {
      class: `box ${stateClass(face)}${face.id === marked ? " marked" : ""}`,
      "aria-label": `${isOurs(face) ? `Face ${face.number}` : "Face"}: ${stateText(face, correct)}`,
      tabindex: isOurs(face) ? "0" : "-1",
      disabled: !isOurs(face),
      data: { face: face.id, state: face.state },
      on: { click: () => onPick(face) },
    }, label);
    box.style.left = `${x1 * 100}%`;
    box.style.top = `${y1 * 100}%`;
    box.style.width = `${(x2 - x1) * 100}%`;
    box.style.height = `${(y2 - y1) * 100}%`;
    return box;
  });
}

/** Loads an asset's preview. Resolves to a decoded image. */
export async function loadPreview(asset) {
  const image = new Image();
  image.src = await picture(previewPath(asset));
  await image.decode();
  return image;
}

/** Draws the part of `image` around `area` into a canvas of at most `size` CSS pixels. */
export function crop(canvas, image, area, size = CROP_PX) {
  const [x1, y1, x2, y2] = area;
  const width = (x2 - x1) * image.naturalWidth;
  const height = (y2 - y1) * image.naturalHeight;
  const side = Math.max(width, height) * (1 + 2 * CROP_MARGIN);
  const cx = ((x1 + x2) / 2) * image.naturalWidth;
  const cy = ((y1 + y2) / 2) * image.naturalHeight;
  const scale = Math.min(2, window.devicePixelRatio || 1);
  canvas.width = size * scale;
  canvas.height = size * scale;
  const pen = canvas.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.drawImage(image, cx - side / 2, cy - side / 2, side, side, 0, 0, canvas.width, canvas.height);
}
