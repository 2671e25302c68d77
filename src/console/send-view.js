import { button, byId, element, fill } from './dom.js';
import { formatBytes } from './format.js';
import { Problem } from './problem.js';

/** Where files are chosen or dropped, with the strategy and the resource they are for. */
export class SendView {
  #problems;
  #onFiles;

  /** `onFiles` gets `(files, { strategy, resource })`. */
  constructor({ problems, onFiles }) {
    this.#problems = problems;
    this.#onFiles = onFiles;
    offerStrategies();
    const input = byId('files');
    byId('choose').addEventListener('click', () => input.click());
    byId('send-form').addEventListener('submit', (event) => event.preventDefault());
    input.addEventListener('change', () => {
      this.#take([...input.files]);
      // The same file can be chosen again.
      input.value = '';
    });
    this.#acceptDrops();
  }

  #take(files) {
    const form = byId('send-form');
    const resource = resourceOf(byId('resource-type').value.trim(), byId('resource-id').value.trim());
    if (!form.reportValidity()) return;
    if (resource === undefined) return this.#refuse('Resource', 'A resource needs both a type and an id.');
    this.#problems.show(byId('send-problem'), null);
    this.#onFiles(files, { strategy: new FormData(form).get('strategy'), resource });
  }

  #refuse(title, detail) {
    this.#problems.show(byId('send-problem'), new Problem({ code: 'not_sent', title, detail }));
  }

  #acceptDrops() {
    const drop = byId('drop');
    const hasFiles = (event) => event.dataTransfer?.types.includes('Files');
    document.addEventListener('dragover', (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      drop.classList.add('over');
    });
    document.addEventListener('dragleave', (event) => {
      if (!event.relatedTarget) drop.classList.remove('over');
    });
    document.addEventListener('drop', (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      drop.classList.remove('over');
      const items = [...event.dataTransfer.items].filter(({ kind }) => kind === 'file');
      const folders = items.filter((item) => item.webkitGetAsEntry?.()?.isDirectory);
      const files = items.filter((item) => !folders.includes(item)).map((item) => item.getAsFile());
      if (files.length > 0) this.#take(files);
      if (folders.length > 0) this.#refuse('Folders are not sent', 'Open the folder and drop the files that are in it.');
    });
  }
}

/** Leaves what this server takes to choose from, the first of it chosen. */
function offerStrategies() {
  const offered = document.querySelector('meta[name="windlass-strategies"]').content.split(',');
  const choices = [...document.querySelectorAll('.strategies input')];
  for (const choice of choices) if (!offered.includes(choice.value)) choice.closest('label').remove();
  choices.find((choice) => choice.isConnected).checked = true;
}

/** Null without a resource, undefined when half of it is missing. */
function resourceOf(type, id) {
  if (!type && !id) return null;
  return type && id ? { type, id } : undefined;
}

/** Uploads that were interrupted: choosing the same file again goes on with them. */
export function showUnfinished({ unfinished, api, now }) {
  const entries = unfinished.all(now);
  const discard = async (entry) => {
    unfinished.forget(entry, entry.id);
    await api.delete(entry.id).catch(() => undefined);
  };
  const row = (entry) =>
    element(
      'li',
      {},
      element('span', {}, entry.name, element('span', { class: 'quiet' }, ` ${formatBytes(entry.size)}`)),
      button('Discard', () => discard(entry), { 'aria-label': `Discard ${entry.name}` }),
    );
  const intro = 'Interrupted. Choose the same file again, with Presign, to go on where it ended.';
  fill(
    byId('unfinished'),
    entries.length > 0 && element('div', { class: 'note' }, element('p', {}, intro), element('ul', {}, ...entries.map(row))),
  );
}
