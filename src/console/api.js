import { connectionLost, problemFrom } from './problem.js';
import { retrying } from './retry.js';

const TOKEN_KEY = 'windlass.token';
/** Tries for requests that may be repeated: reads, and writes that the server carries out once however often they come. */
const REPEATABLE = 4;

/** The HTTP API. Addresses are relative to the page, so that it also works below a path of a proxy. */
export class Api extends EventTarget {
  #token = sessionStorage.getItem(TOKEN_KEY) ?? '';
  #base = new URL('./', location.href);

  get token() {
    return this.#token;
  }

  /** Kept for this tab only. Dispatches `token`. */
  set token(token) {
    this.#token = token;
    if (token) sessionStorage.setItem(TOKEN_KEY, token);
    else sessionStorage.removeItem(TOKEN_KEY);
    this.dispatchEvent(new Event('token'));
  }

  address(path) {
    return new URL(path, this.#base).href;
  }

  authorization() {
    return this.#token ? { Authorization: `Bearer ${this.#token}` } : {};
  }

  /** Says that an answer was 401: whoever shows the token field listens for `unauthorized`. */
  refused(problem) {
    if (problem.status === 401) this.dispatchEvent(new CustomEvent('unauthorized', { detail: problem }));
    return problem;
  }

  /** The answer, if it is a success. Throws a Problem, or an AbortError. */
  async fetch(path, { method = 'GET', headers = {}, body, signal } = {}) {
    const init = { method, body, signal, headers: { ...this.authorization(), ...headers }, cache: 'no-store' };
    const response = await fetch(this.address(path), init).catch((error) => {
      if (error.name === 'AbortError') throw error;
      throw connectionLost('The server did not answer. Check that it runs and that you are online.');
    });
    if (response.ok) return response;
    const text = await response.text().catch(() => '');
    throw this.refused(problemFrom({ status: response.status, header: (name) => response.headers.get(name), text }));
  }

  /** `onWait` of the options hears of the pauses between tries, see `retrying`. */
  #json(path, { body, headers, onWait, ...options } = {}, attempts = REPEATABLE) {
    const send = body === undefined ? {} : { body: JSON.stringify(body) };
    const type = body === undefined ? {} : { 'Content-Type': 'application/json' };
    const request = async () => {
      const response = await this.fetch(path, { ...options, ...send, headers: { ...type, ...headers } });
      return response.status === 204 ? null : response.json();
    };
    return retrying(request, { attempts, signal: options.signal, onWait });
  }

  list(filters, cursor, limit) {
    const query = new URLSearchParams({ limit: String(limit) });
    for (const [name, value] of Object.entries({ ...filters, cursor })) if (value) query.set(name, value);
    return this.#json(`v1/uploads?${query}`, {}, 1);
  }

  get(id, options) {
    return this.#json(`v1/uploads/${id}`, options);
  }

  delete(id) {
    return this.#json(`v1/uploads/${id}`, { method: 'DELETE' });
  }

  presign(order, idempotencyKey, options) {
    const headers = { 'Idempotency-Key': idempotencyKey };
    return this.#json('v1/uploads/presign', { ...options, method: 'POST', body: order, headers });
  }

  async link(id, options) {
    return (await this.#json(`v1/uploads/${id}/link`, { ...options, method: 'POST' })).request;
  }

  async signParts(id, partNumbers, options) {
    return (await this.#json(`v1/uploads/${id}/parts`, { ...options, method: 'POST', body: { partNumbers } })).parts;
  }

  async listParts(id, options) {
    return (await this.#json(`v1/uploads/${id}/parts`, options)).parts;
  }

  /** May be repeated: after success it gives the same answer again. */
  complete(id, resource, options) {
    return this.#json(`v1/uploads/${id}/complete`, { ...options, method: 'POST', body: resource ? { resource } : {} });
  }

  queue() {
    return this.#json('v1/admin/queue', {}, 1);
  }

  deadLetters() {
    return this.#json('v1/admin/dead-letters', {}, 1);
  }

  redrive(id) {
    return this.#json(`v1/admin/uploads/${id}/redrive`, { method: 'POST' }, 1);
  }

  /** What to do about each error code, from the server's own table. */
  errorTable() {
    return this.#json('docs/errors.json', {}, 2);
  }
}
