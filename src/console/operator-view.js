import { announce } from './announce.js';
import { button, byId, element, fill } from './dom.js';
import { formatDuration, formatTime } from './format.js';
import { asProblem } from './problem.js';

const REFRESH_MS = 10_000;

/** For operators: the queue and what failed for good. Hidden when the token lacks the scope. */
export class OperatorView {
  #api;
  #problems;
  #onRedrive;
  #timer;

  constructor({ api, problems, onRedrive }) {
    this.#api = api;
    this.#problems = problems;
    this.#onRedrive = onRedrive;
    document.addEventListener('visibilitychange', () => this.load());
  }

  /** Reads both again, and from then on every few seconds while the page is seen. */
  async load() {
    clearTimeout(this.#timer);
    if (document.hidden) return;
    try {
      const [queue, letters] = await Promise.all([this.#api.queue(), this.#api.deadLetters()]);
      byId('operator').hidden = false;
      this.#problems.show(byId('operator-problem'), null);
      fill(byId('queue'), ...figures(queue, Date.now()));
      this.#showLetters(letters);
    } catch (error) {
      if (this.#isNotForUs(error)) return;
      this.#problems.show(byId('operator-problem'), asProblem(error));
    }
    this.#timer = setTimeout(() => this.load(), REFRESH_MS);
  }

  #isNotForUs({ status }) {
    if (status !== 401 && status !== 403) return false;
    byId('operator').hidden = true;
    return true;
  }

  #showLetters({ items, nextCursor }) {
    byId('letters-empty').hidden = items.length > 0;
    byId('letters-more').hidden = !nextCursor;
    fill(byId('letters'), ...items.map((letter) => this.#letter(letter)));
  }

  #letter({ upload: { id, filename, error }, reason, attempts, failedAt }) {
    const when = element(
      'span',
      { class: 'quiet' },
      ` ${attempts} ${attempts === 1 ? 'attempt' : 'attempts'} · `,
      element('time', { datetime: failedAt }, formatTime(failedAt)),
    );
    const why = element(
      'p',
      {},
      element('a', { href: `docs/errors#${encodeURIComponent(reason)}` }, reason),
      error ? ` ${error.detail}` : '',
    );
    const again = button('Redrive', () => this.#redrive(id, filename), { 'aria-label': `Redrive ${filename}`, 'data-focus': id });
    return element('li', {}, element('div', {}, element('p', { class: 'name' }, filename, when), why), again);
  }

  async #redrive(id, filename) {
    try {
      const upload = await this.#api.redrive(id);
      announce(`${filename} is tried again`);
      this.#onRedrive(upload);
      await this.load();
      if (!byId('letters').contains(document.activeElement)) byId('operator-title').focus();
    } catch (error) {
      this.#problems.show(byId('operator-problem'), asProblem(error));
    }
  }
}

/** The figures of the queue, with how long the oldest of each has waited. */
function figures({ ready, leased, delayed, dead, outboxMessages, outboxOldestAt, queuedOldestAt }, now) {
  const age = (iso) => (iso ? `, oldest ${formatDuration((now - Date.parse(iso)) / 1000)}` : '');
  const rows = [
    ['Waiting', `${ready}${age(queuedOldestAt)}`],
    ['Running', leased ?? 'not known'],
    ['Between tries', delayed],
    ['Given up', dead],
    ['Unpublished messages', `${outboxMessages}${age(outboxOldestAt)}`],
  ];
  return rows.map(([name, value]) => element('div', {}, element('dt', {}, name), element('dd', {}, String(value))));
}
