import { lostAt, Problem } from './problem.js';
import { retrying } from './retry.js';
import { sendBody } from './transfer.js';

const PARALLEL = 3;
const ATTEMPTS = 8;
/** Parts signed by one request: enough that no part waits for its link, few enough that no link runs out unused. */
const BATCH = 6;

/**
 * Sends the parts that the store does not have yet, a few at once, each signed shortly before it is sent and tried again
 * when its connection breaks. `plan` has `partSize` in bytes and `partCount`.
 */
export async function sendParts({ api, file, id, plan, signal, options, slots, report }) {
  const range = (number) => [(number - 1) * plan.partSize, Math.min(number * plan.partSize, file.size)];
  const sizeOf = (number) => range(number)[1] - range(number)[0];
  const stored = await api.listParts(id, options);
  const done = new Map(
    stored.filter(({ partNumber, size }) => size === sizeOf(partNumber)).map(({ partNumber, size }) => [partNumber, size]),
  );
  const missing = Array.from({ length: plan.partCount }, (_, index) => index + 1).filter((number) => !done.has(number));
  const links = new PartLinks(api, id, missing, { signal, onWait: (wait) => tell(wait) });
  const moving = new Map();
  const tell = (wait) => report({ sent: sum(done) + sum(moving), parts: { done: done.size, count: plan.partCount }, wait });
  tell(null);

  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  const sendPart = async (number) => {
    const { url, headers } = await links.of(number);
    const onProgress = (loaded) => {
      moving.set(number, loaded);
      tell(null);
    };
    const request = { method: 'PUT', url, headers, body: file.slice(...range(number)), signal: either, lost: lostAt(url), onProgress };
    await slots
      .run(() => sendBody(request), either)
      .catch((problem) => {
        moving.delete(number);
        // The link ran out while the part waited or was paused: it is signed again, and tried again like after a broken line.
        if (problem.status !== 403) throw problem;
        links.drop();
        throw new Problem({ ...problem, code: 'link_refused', detail: problem.detail });
      });
    moving.delete(number);
    done.set(number, sizeOf(number));
    tell(null);
  };
  const queue = missing.values();
  const worker = async () => {
    for (const number of queue)
      await retrying(() => sendPart(number), { attempts: ATTEMPTS, signal: either, onWait: (wait) => tell({ ...wait, part: number }) });
  };
  try {
    await Promise.all(Array.from({ length: Math.min(PARALLEL, missing.length) }, worker));
  } catch (error) {
    failed.abort();
    throw error;
  }
}

const sum = (sizes) => [...sizes.values()].reduce((total, size) => total + size, 0);

/** Links to the missing parts, signed in batches as the work comes to them. */
class PartLinks {
  #api;
  #id;
  #missing;
  #options;
  #signed = new Map();

  constructor(api, id, missing, options) {
    this.#api = api;
    this.#id = id;
    this.#missing = missing;
    this.#options = options;
  }

  async of(number) {
    if (!this.#signed.has(number)) this.#sign(number);
    const batch = this.#signed.get(number);
    try {
      return (await batch).find(({ partNumber }) => partNumber === number);
    } catch (error) {
      // A batch that could not be signed must not stand in the way of the next try.
      for (const [part, links] of this.#signed) if (links === batch) this.#signed.delete(part);
      throw error;
    }
  }

  /** Links may have run out: all that are needed from now on are signed again. */
  drop() {
    this.#signed.clear();
  }

  #sign(number) {
    const from = this.#missing.indexOf(number);
    const numbers = this.#missing.slice(from, from + BATCH).filter((part) => !this.#signed.has(part));
    const batch = this.#api.signParts(this.#id, numbers, this.#options);
    for (const part of numbers) this.#signed.set(part, batch);
  }
}
