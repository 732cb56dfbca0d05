// Splitting one person: their faces in groups by likeness, by year side by side, each
// group given to somebody, everything applied as one plan that is shown first.

import { get, inSight, post } from "./api.js";
import { count, el, fill, nameOf, say, show } from "./dom.js";
import { openDialog } from "./keys.js";
import { complain } from "./banner.js";
import { crop, loadPreview } from "./stage.js";

/** Edge of a face, in CSS pixels. */
const FACE_PX = 72;

/** The screen. */
export async function split(app, person) {
  show("Split", el("p", { class: "loading" }, `Grouping the faces of ${nameOf(person)}…`));
  const [answer, { people }] = await Promise.all([get(`/api/split/${person.id}`), get("/api/people")]);
  const back = el("button", { on: { click: () => app.go("setup") } }, "Back");
  if (!answer.available) {
    show("Split", el("section", { class: "card narrow" },
      el("h1", {}, `Split ${nameOf(person)}`), el("p", {}, answer.note), el("div", { class: "row end" }, back)));
    return;
  }
  const others = people.filter((other) => other.id !== person.id);
  /** Group number to what becomes of it. */
  const choices = new Map();
  const apply = el("button", { class: "primary", disabled: true, on: { click: () => preview(app, person, answer, choices) } }, "Show the plan");
  const rows = answer.groups.map((group) => row(group, answer.years, others, person, (choice) => {
    if (choice) choices.set(group.number, choice); else choices.delete(group.number);
    apply.disabled = choices.size === 0 || app.state.read_only;
  }));
  show("Split",
    el("header", { class: "title" }, el("h1", {}, `Split ${nameOf(person)}`),
      el("p", { class: "fine" }, `${count(answer.n_faces, "face")} in ${count(answer.groups.length, "group")}. ${answer.note}`)),
    el("div", { class: "table" }, el("table", { class: "split" },
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Group"),
        answer.years.map((year) => el("th", { scope: "col" }, year ?? "no date")))),
      el("tbody", {}, rows))),
    el("div", { class: "row end sticky" }, back, apply));
}

function row(group, years, people, person, onChoose) {
  const select = el("select", {
    "aria-label": `Group ${group.number} goes to`,
    on: {
      change: () => {
        const value = select.value;
        name.hidden = value !== "new";
        onChoose(choice());
      },
    },
  },
  el("option", { value: "" }, `stays with ${nameOf(person)}`),
  el("option", { value: "new" }, "a new person…"),
  people.map((other) => el("option", { value: `to:${other.id}` }, nameOf(other) + (other.hidden ? " (hidden)" : ""))));
  const name = el("input", {
    type: "text", placeholder: "Name (may stay empty)", maxlength: "200", hidden: true,
    "aria-label": `Name of the new person for group ${group.number}`, on: { input: () => onChoose(choice()) },
  });
  const choice = () => {
    if (!select.value) return null;
    if (select.value === "new") return { group: group.number, to: "new", name: name.value.trim() };
    return { group: group.number, to: "person", person: select.value.slice(3) };
  };
  return el("tr", {},
    el("th", { scope: "row" }, el("div", { class: "group" },
      el("b", { class: "big" }, group.number), el("small", {}, count(group.n_faces, "face")), select, name)),
    group.cells.map((cell, at) => {
      const rest = cell.n_faces - cell.faces.length;
      return el("td", {}, cell.faces.map((face) => portraitOf(face, years[at])), rest > 0 ? el("small", {}, `+${rest}`) : null);
    }));
}

function portraitOf(face, year) {
  const canvas = el("canvas", { class: "face", width: FACE_PX, height: FACE_PX, role: "img", "aria-label": `Face, ${year ?? "no date"}` });
  if (face.area) {
    inSight(canvas, () => loadPreview(face.asset).then((image) => crop(canvas, image, face.area, FACE_PX), () => {
      canvas.classList.add("failed");
    }));
  }
  return canvas;
}

/** Shows the plan; applies it when the user says so. */
async function preview(app, person, answer, choices) {
  const groups = [...choices.values()];
  let plan;
  try {
    plan = await post(`/api/split/${person.id}/plan`, { split: answer.id, groups });
  } catch (error) {
    complain(error, () => preview(app, person, answer, choices));
    return;
  }
  const go = el("button", { class: "primary" }, app.state.dry_run ? "Apply (dry run)" : `Apply: ${count(plan.n_faces, "face")}`);
  const progress = el("p", { role: "status" });
  const dialog = openDialog("The plan", el("ul", {}, plan.lines.map((line) => el("li", {}, line))),
    el("p", { class: "fine" }, "Each change is written to the journal first, sent, and read back. Everything can be undone."),
    progress, el("div", { class: "row end" }, go));
  go.addEventListener("click", async () => {
    go.disabled = true;
    fill(progress, "Applying…");
    try {
      const done = await post(`/api/split/${person.id}/apply`, { plan: plan.id });
      dialog.close();
      say(done.text, 8);
      await app.go("setup");
    } catch (error) {
      dialog.close();
      complain(error, () => preview(app, person, answer, choices));
    }
  });
}
