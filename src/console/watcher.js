import { messagesOf } from './events.js';
import { isAbort } from './problem.js';
import { pause, pauseBefore } from './retry.js';
import { isFinal } from './states.js';

/** Over HTTP/1.1 a browser opens six connections to a server: three send files, these two stay open, one is for the rest. */
const STREAMS = 2;
const POLL_MS = 3000;
/** A page of a long list is not followed as a whole. */
const POLLED_AT_ONCE = 20;

/** Follows uploads until their state is final: by event streams while there are connections to spare, the others by asking. */
export class Watcher {
  #api;
  /** id → `{ upload, lastEventId, listeners, control }`; `control` stops its stream. */
  #watched = new Map();
  #streams = 0;
  #polling = false;

  constructor(api) {
    this.#api = api;
  }

  /** Calls `listener` with each change from now on. Returns a function that stops that. */
  watch(upload, listener) {
    const entry = this.#watched.get(upload.id) ?? { upload, lastEventId: null, listeners: new Set(), control: null };
    entry.listeners.add(listener);
    this.#watched.set(upload.id, entry);
    this.#fill();
    return () => {
      entry.listeners.delete(listener);
      if (entry.listeners.size === 0) this.#drop(upload.id, entry);
    };
  }

  #drop(id, entry) {
    if (this.#watched.get(id) === entry) this.#watched.delete(id);
    entry.control?.abort();
  }

  #fill() {
    for (const [id, entry] of this.#watched) {
      if (this.#streams >= STREAMS) break;
      if (!entry.control) this.#stream(id, entry);
    }
    this.#poll();
  }

  async #stream(id, entry) {
    this.#streams += 1;
    entry.control = new AbortController();
    const { signal } = entry.control;
    for (let failures = 0; this.#watched.get(id) === entry && !signal.aborted; ) {
      try {
        if (await this.#read(id, entry, signal)) failures = 0;
        // A stream that ends before the upload does is one of a server that stops: its successor goes on after this event.
        if (this.#watched.get(id) === entry) await pause(pauseBefore(++failures), signal);
      } catch (error) {
        if (!isAbort(error)) await pause(pauseBefore(++failures, error.retryAfter), signal).catch(() => undefined);
      }
    }
    this.#streams -= 1;
    this.#fill();
  }

  /** Reads one stream to its end; true when something was read. */
  async #read(id, entry, signal) {
    const headers = { Accept: 'text/event-stream', ...(entry.lastEventId ? { 'Last-Event-ID': entry.lastEventId } : {}) };
    const response = await this.#api
      .fetch(`v1/uploads/${id}/events`, { headers, signal })
      .catch((problem) => this.#gone(id, entry, problem));
    if (!response?.body || response.status === 204) return this.#refresh(id, entry, signal);
    let any = false;
    for await (const { id: eventId, data } of messagesOf(response.body)) {
      any = true;
      entry.lastEventId = eventId;
      this.#tell(id, entry, JSON.parse(data));
    }
    return any;
  }

  async #refresh(id, entry, signal) {
    if (this.#watched.get(id) !== entry) return false;
    this.#tell(id, entry, await this.#api.get(id, { signal }));
    return true;
  }

  /** An upload that is not there any more was deleted. */
  #gone(id, entry, problem) {
    if (problem.status !== 404) throw problem;
    this.#tell(id, entry, { ...entry.upload, state: 'deleted' });
  }

  #tell(id, entry, upload) {
    entry.upload = upload;
    for (const listener of [...entry.listeners]) listener(upload);
    if (isFinal(upload.state) && this.#watched.get(id) === entry) this.#watched.delete(id);
  }

  async #poll() {
    if (this.#polling) return;
    this.#polling = true;
    for (let waiting = this.#withoutStream(); waiting.length > 0; waiting = this.#withoutStream()) {
      await pause(POLL_MS);
      for (const [id, entry] of waiting.slice(0, POLLED_AT_ONCE)) {
        const upload = await this.#api
          .get(id)
          .catch((problem) => this.#gone(id, entry, problem))
          .catch(() => null);
        if (upload && upload.updatedAt !== entry.upload.updatedAt && this.#watched.get(id) === entry) this.#tell(id, entry, upload);
      }
    }
    this.#polling = false;
  }

  #withoutStream() {
    return [...this.#watched].filter(([, { control }]) => !control);
  }
}
