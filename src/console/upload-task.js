import { asProblem, isAbort, Problem } from './problem.js';
import { Rate } from './rate.js';
import { sendPresigned } from './send-presigned.js';
import { sendWhole } from './send-whole.js';
import { isDead, isFinal } from './states.js';

/**
 * One file on its way. `phase` is `waiting`, `sending`, `checking`, `following` (the server has it and works on it),
 * `paused`, `stored`, `failed` or `cancelled`. Dispatches `change`.
 */
export class UploadTask extends EventTarget {
  #services;
  #control = new AbortController();
  #ending = 'cancelled';
  #rate = new Rate();
  #key = newKey();
  #begun = null;
  #unwatch = () => {};

  file;
  strategy;
  resource;
  phase = 'waiting';
  sent = 0;
  /** `{ done, count }` once it is known that the file goes in parts. */
  parts = null;
  /** The pause before something is sent again: `{ problem, ms, attempt, attempts, part? }`. */
  wait = null;
  upload = null;
  problem = null;

  constructor({ file, strategy, resource }, services) {
    super();
    Object.assign(this, { file, strategy, resource });
    this.#services = services;
  }

  get canPause() {
    return this.parts !== null && this.phase === 'sending';
  }

  /** Bytes per second, null while unknown. */
  speed(now) {
    return this.phase === 'sending' ? this.#rate.at(now) : null;
  }

  /** Starts, or goes on after a pause or a failure. */
  async start() {
    this.#control = new AbortController();
    this.#rate = new Rate();
    if (this.upload && isDead(this.upload.state)) this.#forgetUpload();
    this.#set({ phase: 'waiting', problem: null, wait: null, sent: 0 });
    try {
      const { signal } = this.#control;
      this.#follow(await this.#services.files.run(() => this.#send(signal), signal));
    } catch (error) {
      if (isAbort(error)) this.#set({ phase: this.#ending, wait: null });
      else this.#fail(asProblem(error));
    }
  }

  /** Only for files sent in parts: those that have arrived stay. */
  pause() {
    this.#ending = 'paused';
    this.#control.abort();
  }

  /** Gives up; what the server had begun for it is deleted. */
  async cancel() {
    this.#ending = 'cancelled';
    this.#control.abort();
    this.#set({ phase: 'cancelled', wait: null });
    const { api, unfinished } = this.#services;
    const { upload } = this;
    if (!upload) return;
    unfinished.forget(this.file, upload.id);
    // What cannot be deleted now the server removes by itself when its time is over.
    await api.delete(upload.id).catch(() => undefined);
  }

  /** The task leaves the page; what it had begun can be taken up again. */
  dismiss() {
    this.#unwatch();
    if (this.upload) this.#services.unfinished.release(this.upload.id);
  }

  #send(signal) {
    this.#set({ phase: 'sending' });
    const context = {
      ...this.#services,
      file: this.file,
      strategy: this.strategy,
      resource: this.resource,
      key: this.#key,
      begun: this.#begun,
      signal,
      options: { signal, onWait: (wait) => this.#report({ sent: this.sent, wait, checking: this.phase === 'checking' }) },
      renewKey: () => {
        this.#key = newKey();
        return this.#key;
      },
      known: (begun) => {
        this.#begun = begun;
        this.#set({ upload: begun.upload });
      },
      report: (progress) => !signal.aborted && this.#report(progress),
    };
    return this.strategy === 'presign' ? sendPresigned(context) : sendWhole(context);
  }

  #report({ sent, wait, parts = this.parts, checking = false }) {
    this.#rate.add(sent, performance.now());
    // All bytes are out and the answer is awaited: the server makes sure that they are safe.
    const phase = checking || (parts === null && sent === this.file.size) ? 'checking' : 'sending';
    this.#set({ sent, wait, parts, phase });
  }

  #follow(upload) {
    this.#unwatch();
    this.#seen(upload);
    if (!isFinal(upload.state)) this.#unwatch = this.#services.watcher.watch(upload, (next) => this.#seen(next));
  }

  #seen(upload) {
    this.#set({ upload, wait: null, sent: this.file.size });
    if (upload.state === 'stored') this.#set({ phase: 'stored' });
    else if (isDead(upload.state)) this.#fail(problemOf(upload));
    else this.#set({ phase: 'following' });
  }

  #fail(problem) {
    this.#services.api.refused(problem);
    this.#set({ phase: 'failed', problem, wait: null });
  }

  #forgetUpload() {
    this.#services.unfinished.forget(this.file, this.upload.id);
    this.#key = newKey();
    this.#begun = null;
    this.#set({ upload: null, parts: null });
  }

  #set(fields) {
    Object.assign(this, fields);
    this.dispatchEvent(new Event('change'));
  }
}

/** Why an upload came to nothing. */
const problemOf = ({ state, error }) =>
  error
    ? new Problem({ code: error.code, title: 'The upload failed', detail: error.detail })
    : new Problem({
        code: state === 'expired' ? 'expired' : 'not_found',
        title: `The upload is ${state}`,
        detail: 'Send it again if it is still needed.',
      });

/** crypto.randomUUID is there on secure origins only, and a console may be opened by a plain address. */
const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
