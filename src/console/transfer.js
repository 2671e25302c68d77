import { fileChanged, problemFrom } from './problem.js';

/** A body that makes no progress for this long is given up: a connection can be dead without the browser being told. */
const STALL_MS = 90_000;

export const typeOf = (file) => file.type || 'application/octet-stream';

const aborted = () => new DOMException('aborted', 'AbortError');

/**
 * Sends a body and reports its progress, which fetch cannot. Resolves with the answer when it is a success; throws a
 * Problem (`lost` when there was no answer) or an AbortError.
 */
export function sendBody({ method, url, headers, body, signal, onProgress, lost }) {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(aborted());
    const xhr = new XMLHttpRequest();
    let stalled = false;
    let timer;
    const watch = () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        stalled = true;
        xhr.abort();
      }, STALL_MS);
    };
    const stop = () => xhr.abort();
    xhr.upload.addEventListener('progress', ({ loaded }) => {
      watch();
      onProgress(loaded);
    });
    xhr.addEventListener('load', () => {
      const answer = { status: xhr.status, header: (name) => xhr.getResponseHeader(name), text: xhr.responseText };
      if (xhr.status >= 200 && xhr.status < 300) resolve(answer);
      else reject(problemFrom(answer));
    });
    xhr.addEventListener('error', async () => reject((await isReadable(body)) ? lost : fileChanged()));
    xhr.addEventListener('abort', () => reject(stalled ? lost : aborted()));
    xhr.addEventListener('loadend', () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
    });
    signal.addEventListener('abort', stop);
    xhr.open(method, url);
    for (const [name, value] of Object.entries(headers)) xhr.setRequestHeader(name, value);
    watch();
    xhr.send(body);
  });
}

/** The browser reports a file that changed under it and a broken connection alike. */
const isReadable = (file) =>
  file
    .slice(0, 1)
    .arrayBuffer()
    .then(() => true)
    .catch(() => false);

/** At most `count` holders at a time, first come, first served. */
export class Slots {
  #free;
  #waiting = [];

  constructor(count) {
    this.#free = count;
  }

  /** Runs `work` as soon as there is a slot. Throws an AbortError when `signal` is aborted before. */
  async run(work, signal) {
    await this.#acquire(signal);
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free += 1;
    }
  }

  #acquire(signal) {
    if (signal.aborted) throw aborted();
    if (this.#free > 0) {
      this.#free -= 1;
      return undefined;
    }
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1);
        reject(aborted());
      };
      const enter = () => {
        signal.removeEventListener('abort', leave);
        resolve();
      };
      signal.addEventListener('abort', leave, { once: true });
      this.#waiting.push(enter);
    });
  }
}
