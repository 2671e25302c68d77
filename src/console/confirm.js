import { byId, setText } from './dom.js';

/** The question before this one: the browser tells of its end a moment after the dialog is gone. */
let before = Promise.resolve();

/** Asks before something that cannot be undone. Resolves with whether it was confirmed; Escape means no. */
export function confirmed(question) {
  before = before.then(() => ask(question));
  return before;
}

function ask({ title, text, yes }) {
  const dialog = byId('confirm');
  setText(byId('confirm-title'), title);
  setText(byId('confirm-text'), text);
  setText(byId('confirm-yes'), yes);
  dialog.returnValue = 'no';
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true }));
}
