import { announce } from './announce.js';
import { confirmed } from './confirm.js';
import { detailsOf } from './details-view.js';
import { button, byId, element, fill, setText } from './dom.js';
import { saveWithToken } from './download.js';
import { formatBytes, formatShortTime, formatTime } from './format.js';
import { asProblem, isAbort } from './problem.js';
import { isFinal, STATES, STRATEGIES } from './states.js';

const PAGE = 20;
const FILTERS = {
  state: 'filter-state',
  strategy: 'filter-strategy',
  resourceType: 'filter-resource-type',
  resourceId: 'filter-resource-id',
};

/** The table of uploads: filters, pages, details; rows whose state is not final change as it happens. */
export class ListView {
  #api;
  #watcher;
  #problems;
  /** id → `{ upload, row, details, unwatch }`. */
  #rows = new Map();
  /** Cursors of the pages before this one; the first page has none. */
  #before = [];
  #cursor = undefined;
  #next = null;
  #load = 0;

  constructor({ api, watcher, problems }) {
    this.#api = api;
    this.#watcher = watcher;
    this.#problems = problems;
    for (const state of STATES) byId('filter-state').append(new Option(state, state));
    for (const strategy of STRATEGIES) byId('filter-strategy').append(new Option(strategy, strategy));
    byId('filters').addEventListener('change', () => this.#first());
    byId('filters').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#first();
    });
    byId('older').addEventListener('click', () => this.#turn([...this.#before, this.#cursor], this.#next));
    byId('newer').addEventListener('click', () => this.#turn(this.#before.slice(0, -1), this.#before.at(-1)));
  }

  #first() {
    return this.#turn([], undefined);
  }

  async #turn(before, cursor) {
    this.#before = before;
    this.#cursor = cursor;
    await this.load();
    announce(`${this.#rows.size} uploads shown`);
  }

  /** Reads the page again. Of several reads at once the last one counts. */
  async load() {
    this.#load += 1;
    const mine = this.#load;
    try {
      const page = await this.#api.list(this.#filters(), this.#cursor, PAGE);
      if (mine === this.#load) this.#show(page);
    } catch (error) {
      if (mine === this.#load) this.#refuse(asProblem(error));
    }
  }

  /** A new upload, or a change that was heard of elsewhere. */
  update(upload) {
    const entry = this.#rows.get(upload.id);
    if (entry) this.#redraw(entry, upload);
    else if (this.#before.length === 0) this.load();
  }

  #filters() {
    return Object.fromEntries(Object.entries(FILTERS).map(([name, id]) => [name, byId(id).value.trim()]));
  }

  #refuse(problem) {
    // A 401 is answered by the token field; the list has nothing to add.
    this.#problems.show(
      byId('list-problem'),
      problem.status === 401 ? null : problem,
      button('Try again', () => this.load()),
    );
  }

  #show({ items, nextCursor }) {
    this.#problems.show(byId('list-problem'), null);
    const old = this.#rows;
    this.#rows = new Map(items.map((upload) => [upload.id, this.#entry(old.get(upload.id), upload)]));
    for (const [id, entry] of old) if (!this.#rows.has(id)) this.#unwatch(entry);
    fill(byId('rows'), ...[...this.#rows.values()].flatMap(({ row, details }) => [row, details]));
    this.#next = nextCursor;
    byId('older').disabled = !nextCursor;
    byId('newer').disabled = this.#before.length === 0;
    const filtered = Object.values(this.#filters()).some(Boolean);
    byId('list-empty').hidden = items.length > 0;
    setText(byId('list-empty'), filtered ? 'No upload matches these filters.' : 'Nothing has been uploaded yet.');
  }

  #entry(old, upload) {
    const entry = old ?? this.#newEntry(upload);
    this.#redraw(entry, upload);
    return entry;
  }

  #newEntry(upload) {
    const name = button(upload.filename, () => this.#toggle(entry), {
      class: 'plain',
      'aria-expanded': 'false',
      'aria-controls': `details-${upload.id}`,
      'data-focus': upload.id,
    });
    const cells = {
      state: element('span', { class: 'state' }),
      size: element('td', { class: 'number' }),
      resource: element('td', { class: 'minor' }),
    };
    const row = element(
      'tr',
      { 'data-id': upload.id },
      element('th', { scope: 'row' }, name),
      element('td', {}, cells.state),
      element('td', { class: 'minor' }, upload.strategy),
      cells.size,
      cells.resource,
      element(
        'td',
        { class: 'minor' },
        element('time', { datetime: upload.createdAt, title: formatTime(upload.createdAt) }, formatShortTime(upload.createdAt)),
      ),
    );
    const cell = element('td', { colspan: 6 });
    const details = element('tr', { id: `details-${upload.id}`, class: 'opened', hidden: true }, cell);
    const entry = { upload: null, row, details, cell, name, cells, unwatch: null };
    return entry;
  }

  #redraw(entry, upload) {
    if (entry.upload?.updatedAt === upload.updatedAt && entry.upload.state === upload.state) return;
    const { cells } = entry;
    entry.upload = upload;
    setText(cells.state, upload.state);
    cells.state.dataset.state = upload.state;
    setText(cells.size, formatBytes(upload.size));
    setText(cells.resource, upload.resource ? `${upload.resource.type}/${upload.resource.id}` : '');
    if (!entry.details.hidden) this.#showDetails(entry);
    if (isFinal(upload.state)) this.#unwatch(entry);
    else entry.unwatch ??= this.#watcher.watch(upload, (next) => this.#redraw(entry, next));
  }

  #unwatch(entry) {
    entry.unwatch?.();
    entry.unwatch = null;
  }

  #toggle(entry) {
    entry.details.hidden = !entry.details.hidden;
    entry.name.setAttribute('aria-expanded', String(!entry.details.hidden));
    if (entry.details.hidden) fill(entry.cell);
    else this.#showDetails(entry);
  }

  #showDetails(entry) {
    const { upload } = entry;
    const note = element('div', { role: 'alert' });
    const attempt = (work) => () =>
      work().catch((error) => {
        if (!isAbort(error)) this.#problems.show(note, asProblem(error));
      });
    const onSave = this.#api.token ? attempt(() => saveWithToken(this.#api, upload)) : null;
    fill(entry.cell, detailsOf(upload, { onSave, onDelete: attempt(() => this.#delete(entry)) }), note);
  }

  async #delete({ upload, name }) {
    const { id, filename, state } = upload;
    const text =
      state === 'stored'
        ? 'Its bytes are removed for good; links to it stop working.'
        : 'What is under way for it is stopped, and its bytes are removed.';
    if (!(await confirmed({ title: `Delete ${filename}?`, text, yes: 'Delete' }))) return;
    await this.#api.delete(id);
    announce(`${filename} is deleted`);
    const next = name.closest('tr').nextElementSibling?.nextElementSibling?.querySelector('button');
    await this.load();
    (next?.isConnected ? next : byId('refresh')).focus();
  }
}
