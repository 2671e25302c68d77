import { randomUUID } from 'node:crypto';
import { type LinkAnswer, linkAnswer, type PresignAnswer, presignAnswer, type UploadAnswer, uploadAnswer } from './answers.ts';
import type { ApiClient } from './api-client.ts';
import { isRefused } from './failures.ts';
import type { Limiter } from './limiter.ts';
import { sendByLink } from './links.ts';
import { type Order, requireGood, type Tracker } from './order.ts';
import { sendParts } from './send-parts.ts';
import { type FileSource, sha256Of } from './source.ts';
import type { Note, UnfinishedUploads } from './unfinished-uploads.ts';

interface Parts {
  client: ApiClient;
  limiter: Limiter;
  unfinished: UnfinishedUploads;
}

/** An upload that the server knows of, and the first link to it if there is one. */
interface Begun {
  upload: UploadAnswer;
  note: Note;
  link: LinkAnswer | null;
}

/** Refusals after which continuing makes no sense: the next run begins anew. */
const FINAL_STATUS = new Set([400, 404, 410, 413, 415, 422]);

/** Strategy 3: asks for links, sends the bytes straight to the object store, reports completion; continues where an earlier run was cut. */
export class PresignedUpload {
  readonly #parts: Parts;
  readonly #source: FileSource;
  readonly #order: Order;
  readonly #tracker: Tracker;
  /** The same server, file and request: the same upload. */
  readonly #identity: unknown;

  constructor(parts: Parts, source: FileSource, order: Order, tracker: Tracker) {
    this.#parts = parts;
    this.#source = source;
    this.#order = order;
    this.#tracker = tracker;
    const { path, size, modifiedAt } = source;
    this.#identity = [parts.client.url, path, size, modifiedAt, this.#announcement()];
  }

  async run(): Promise<UploadAnswer> {
    const { unfinished } = this.#parts;
    try {
      const begun = (await this.#continue()) ?? (await this.#begin());
      if (begun.upload.state === 'pending') await this.#send(begun);
      const upload = await this.#complete(begun.upload);
      await unfinished.forget(this.#identity);
      return upload;
    } catch (error) {
      if (isRefused(error) && FINAL_STATUS.has(error.problem.status)) await unfinished.forget(this.#identity);
      throw error;
    }
  }

  /** What an earlier run left, if the server still has it. */
  async #continue(): Promise<Begun | null> {
    const { client, unfinished } = this.#parts;
    const note = await unfinished.find(this.#identity);
    if (!note) return null;
    if (note.uploadId === null) return this.#announce(note);
    try {
      const upload = await client.upload(note.uploadId);
      if (['pending', 'verifying', 'stored'].includes(upload.state)) return { upload, note, link: null };
    } catch (error) {
      if (!isRefused(error) || error.problem.status !== 404) throw error;
    }
    return null;
  }

  async #begin(): Promise<Begun> {
    this.#tracker.stage('hashing');
    const note: Note = { idempotencyKey: randomUUID(), sha256: await sha256Of(this.#source), uploadId: null, plan: null };
    await this.#parts.unfinished.save(this.#identity, note);
    return this.#announce(note);
  }

  async #announce(note: Note): Promise<Begun> {
    const { client, unfinished } = this.#parts;
    const json = { ...this.#announcement(), sha256: note.sha256 };
    const headers = { 'Idempotency-Key': note.idempotencyKey };
    const answer: PresignAnswer = await client.retrying(() => client.read(presignAnswer, 'POST', '/v1/uploads/presign', { json, headers }));
    const { upload, request, multipart } = answer;
    const known: Note = { ...note, uploadId: upload.id, plan: multipart ?? null };
    await unfinished.save(this.#identity, known);
    return { upload: requireGood(upload), note: known, link: request ?? null };
  }

  #announcement(): Record<string, unknown> {
    const { name, size } = this.#source;
    const { contentType, resource, metadata } = this.#order;
    return { filename: name, contentType, size, resource, metadata };
  }

  async #send({ upload, note, link }: Begun): Promise<void> {
    const { client, limiter } = this.#parts;
    this.#tracker.stage('sending');
    const source = this.#source;
    if (note.plan) return sendParts({ client, limiter }, { uploadId: upload.id, plan: note.plan, source }, this.#tracker);
    let first = link;
    const sign = async (): Promise<LinkAnswer> => {
      const next = first ?? (await client.read(linkAnswer, 'POST', `/v1/uploads/${upload.id}/link`)).request;
      first = null;
      return next;
    };
    await limiter.run(() => sendByLink(client, sign, { source, start: 0, length: source.size }, this.#tracker));
  }

  async #complete({ id }: UploadAnswer): Promise<UploadAnswer> {
    const { client } = this.#parts;
    this.#tracker.stage('completing');
    const upload = await client.retrying(() => client.read(uploadAnswer, 'POST', `/v1/uploads/${id}/complete`));
    if (upload.state === 'stored' || !this.#order.wait) return upload;
    return requireGood(await client.settled(id));
  }
}
