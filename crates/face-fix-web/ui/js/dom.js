// Building elements. Text goes in by textContent only: a person's name is never
// parsed as markup, whatever it holds.

/**
 * An element. Children are nodes or texts; null and undefined are left out.
 * @param {string} tag
 * @param {Record<string, any>} [props] `class`, `on` (listeners), `data`, or attributes;
 *   `false` and `null` leave an attribute out, `true` sets it empty.
 * @param {...(Node|string|number|null|undefined|Array<any>)} children
 */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") node.className = value;
    else if (name === "on") {
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    } else if (name === "data") Object.assign(node.dataset, value);
    else if (name === "value" || name === "checked" || name === "disabled") node[name] = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  append(node, children);
  return node;
}

function append(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** Replaces what is in `node`. */
export function fill(node, ...children) {
  node.replaceChildren();
  append(node, children);
  return node;
}

/** The element of an id that the page always has. */
export const byId = (id) => document.getElementById(id);

/** Shows another screen and moves the focus there, for screen readers too. */
export function show(title, ...children) {
  document.title = title ? `${title} · face-fix` : "face-fix";
  const screen = byId("screen");
  fill(screen, ...children);
  screen.focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

let toastTimer = 0;

/** A short message that goes away by itself; also read out. */
export function say(text, seconds = 4) {
  // Never hidden, only empty: what a screen reader watches must be there before the words.
  const toast = byId("status");
  toast.textContent = text;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { toast.textContent = ""; }, seconds * 1000);
}

/** Says to screen readers what others see happen. */
export function announce(text) {
  byId("announce").textContent = text;
}

/** "1 photo", "2 photos". */
export const count = (n, word, many = `${word}s`) => `${n.toLocaleString("en")} ${n === 1 ? word : many}`;

/** What to call a person: unnamed ones by the start of their id. */
export const nameOf = (person) => person.name || `unnamed ${person.id.slice(0, 8)}`;

/** Whether a key press is meant for a field the user types into. */
export function isTyping(event) {
  const target = event.target;
  return target instanceof HTMLElement
    && (target.matches("input:not([type=checkbox]):not([type=radio]), select, textarea"));
}

/** Whether Enter or Space would press a focused button or link rather than the screen. */
export function pressesAControl(event) {
  return (event.key === "Enter" || event.key === " ")
    && event.target instanceof HTMLElement && event.target.matches("button, a, input, select, summary");
}
