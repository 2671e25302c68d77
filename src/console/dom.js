/**
 * An element with attributes, listeners (`onclick: …`) and children. Strings become text nodes, never markup, so names of
 * files and answers of the server can be passed in as they are. Attributes that are null or false are left out.
 */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : String(value));
  }
  node.append(...present(children));
  return node;
}

export const button = (label, onclick, attributes = {}) => element('button', { type: 'button', onclick, ...attributes }, label);

export const byId = (id) => document.getElementById(id);

/** Replaces what is in a node, and keeps the keyboard where it was: on the element with the same `data-focus`. */
export function fill(node, ...children) {
  const focused = node.contains(document.activeElement) ? document.activeElement.dataset.focus : undefined;
  node.replaceChildren(...present(children));
  if (focused) node.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
}

/** Sets a text only when it differs, so that screen readers and the layout are left in peace. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Text in which `words in backticks` are code. */
export const withCode = (text) => text.split('`').map((part, index) => (index % 2 === 1 ? element('code', {}, part) : part));

const present = (children) => children.flat().filter((child) => child !== null && child !== undefined && child !== false);
