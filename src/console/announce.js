import { byId, element } from './dom.js';

const KEPT = 4;

/** Says something to screen readers when they have a moment. Each message is a node of its own, so that none replaces another unheard. */
export function announce(text) {
  const announcer = byId('announcer');
  announcer.append(element('p', {}, text));
  while (announcer.childElementCount > KEPT) announcer.firstElementChild.remove();
}
