import { announce } from './announce.js';
import { button } from './dom.js';

/** A button that puts a text on the clipboard, also where the page's origin is not secure. */
export function copyButton(label, text, attributes = {}) {
  const node = button(
    label,
    async () => {
      const done = await copy(text);
      node.textContent = done ? 'Copied' : 'Press Ctrl+C';
      if (done) announce('Copied');
      setTimeout(() => {
        node.textContent = label;
      }, 2000);
    },
    attributes,
  );
  return node;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

/** navigator.clipboard is there on secure origins only. */
function copyBySelection(text) {
  const field = document.createElement('textarea');
  field.value = text;
  field.className = 'hidden';
  document.body.append(field);
  const before = document.activeElement;
  field.select();
  const done = document.execCommand('copy');
  field.remove();
  before?.focus();
  return done;
}
