import { announce } from './announce.js';
import { button, byId, element, fill } from './dom.js';

/** The token field: shown when the server answers 401. */
export class TokenView {
  #api;
  #problems;

  /** `onToken` is called once a token has been accepted, or has been forgotten. */
  constructor({ api, problems, onToken }) {
    this.#api = api;
    this.#problems = problems;
    api.addEventListener('unauthorized', () => this.#ask());
    byId('token-form').addEventListener('submit', async (event) => {
      event.preventDefault();
      if (await this.#accept(byId('token').value.trim())) onToken();
    });
    this.#forget = () => {
      api.token = '';
      this.#showSession();
      onToken();
    };
    this.#showSession();
  }

  #forget;

  #ask() {
    const form = byId('token-form');
    if (!form.hidden) return;
    form.hidden = false;
    announce('This server asks for a token');
    byId('token').focus();
  }

  async #accept(token) {
    this.#api.token = token;
    try {
      await this.#api.list({}, undefined, 1);
    } catch (problem) {
      if (problem.status === 401) this.#api.token = '';
      // A token that may write but not read is one to keep.
      if (problem.status !== 403) {
        this.#problems.show(byId('token-problem'), problem);
        return false;
      }
    }
    this.#problems.show(byId('token-problem'), null);
    byId('token').value = '';
    byId('token-form').hidden = true;
    this.#showSession();
    return true;
  }

  #showSession() {
    const { token } = this.#api;
    fill(byId('session'), token && [element('span', {}, 'Token in use '), button('Forget token', this.#forget)]);
  }
}
