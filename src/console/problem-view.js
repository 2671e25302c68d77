import { element, fill, withCode } from './dom.js';

/** Shows problems in words: what happened, what to do about it, where to read more. */
export class ProblemView {
  #api;
  #table = null;

  constructor(api) {
    this.#api = api;
  }

  /** Replaces what is in `node` by the problem, or empties it. */
  async show(node, problem, ...actions) {
    if (!problem) return fill(node);
    fill(node, this.note(problem, ...actions));
    await this.#load();
    // Whatever has been shown there since stays.
    if (this.#table && node.firstElementChild?.problem === problem) fill(node, this.note(problem, ...actions));
  }

  note(problem, ...actions) {
    const { title, detail, code, errors, requestId } = problem;
    const known = this.#table && Object.hasOwn(this.#table, code) ? this.#table[code] : null;
    const note = element(
      'div',
      { class: 'note problem' },
      element('p', {}, element('b', {}, title), ' ', ...withCode(detail)),
      errors.length > 0 &&
        element('ul', {}, ...errors.map(({ pointer, detail: what }) => element('li', {}, element('code', {}, pointer), ` ${what}`))),
      known && element('p', {}, ...withCode(known.cure), ' ', element('a', { href: `docs/errors#${code}` }, code)),
      requestId && element('p', { class: 'quiet' }, 'Request ', element('code', {}, requestId)),
      actions.length > 0 && element('div', { class: 'actions' }, ...actions),
    );
    note.problem = problem;
    return note;
  }

  async #load() {
    this.#table ??= await this.#api.errorTable().catch(() => null);
  }
}
