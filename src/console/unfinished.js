const PREFIX = 'windlass.unfinished.';

/**
 * Multipart uploads that were begun and are not complete, kept in localStorage under the identity of their file (name,
 * size, time of last change): choosing the same file again after a reload finds them. Dispatches `change`.
 */
export class UnfinishedUploads extends EventTarget {
  #storage;
  /** Uploads that this page is busy with: a second file of the same identity must not write into them. */
  #taken = new Set();

  constructor(storage) {
    super();
    this.#storage = storage;
  }

  remember(file, { upload, multipart }) {
    const { name, size, lastModified } = file;
    this.#taken.add(upload.id);
    try {
      this.#storage.setItem(keyOf(file), JSON.stringify({ id: upload.id, name, size, lastModified, multipart }));
    } catch {
      // A full storage costs the resumption, not the upload.
    }
    this.#changed();
  }

  /** The entry of this file, which from now on belongs to the caller; null when there is none or somebody has it. */
  take(file) {
    const entry = this.#read(keyOf(file));
    if (!entry || this.#taken.has(entry.id)) return null;
    this.#taken.add(entry.id);
    this.#changed();
    return entry;
  }

  /** Gives an entry back, so that choosing the file again takes it up. */
  release(id) {
    this.#taken.delete(id);
    this.#changed();
  }

  forget(file, id) {
    this.#taken.delete(id);
    if (this.#read(keyOf(file))?.id === id) this.#storage.removeItem(keyOf(file));
    this.#changed();
  }

  /** Those nobody is busy with. The ones whose time is over are dropped. */
  all(now = Date.now()) {
    const open = [];
    for (const key of Object.keys(this.#storage).filter((name) => name.startsWith(PREFIX))) {
      const entry = this.#read(key);
      if (!entry || Date.parse(entry.multipart.expiresAt) < now) this.#storage.removeItem(key);
      else if (!this.#taken.has(entry.id)) open.push(entry);
    }
    return open;
  }

  #changed() {
    this.dispatchEvent(new Event('change'));
  }

  #read(key) {
    try {
      return JSON.parse(this.#storage.getItem(key));
    } catch {
      return null;
    }
  }
}

const keyOf = ({ name, size, lastModified }) => `${PREFIX}${JSON.stringify([name, size, lastModified])}`;
