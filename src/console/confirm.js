import { byId, setText } from './dom.js';

/** Asks before something that cannot be undone. Resolves with whether it was confirmed; Escape means no. */
export function confirmed({ title, text, yes }) {
  const dialog = byId('confirm');
  setText(byId('confirm-title'), title);
  setText(byId('confirm-text'), text);
  setText(byId('confirm-yes'), yes);
  dialog.returnValue = 'no';
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true }));
}
