import { type IncomingMessage, STATUS_CODES } from 'node:http';
import { Readable } from 'node:stream';
import type { z } from 'zod';
import { isFinal, type UploadState } from '../core/upload.ts';
import { pageAnswer, problemAnswer, type UploadAnswer, uploadAnswer } from './answers.ts';
import { type Body, Connection } from './connection.ts';
import { LocalFailure, type Problem, Refused, Unreachable } from './failures.ts';
import { type RetryTerms, retrying } from './retry.ts';

/** Answers of the API are small; whatever is larger is something else. */
const MAX_ANSWER_BYTES = 8 * 1024 ** 2;
const WAIT_SECONDS = 30;
const PAGE = 200;

export interface ApiClientOptions {
  /** Without a slash at its end. */
  url: string;
  token: string | undefined;
  onRetry?: RetryTerms['onRetry'];
  sleep: RetryTerms['sleep'];
  random: RetryTerms['random'];
}

export interface ApiRequest {
  query?: Record<string, string | undefined>;
  headers?: Record<string, string>;
  /** Sent as JSON. */
  json?: unknown;
  body?: Body;
}

export interface ListFilter {
  state?: string | undefined;
  strategy?: string | undefined;
  resourceType?: string | undefined;
  resourceId?: string | undefined;
}

/** The Windlass API as a client sees it. What can be repeated safely is repeated when it fails for a reason that may pass. */
export class ApiClient {
  readonly url: string;
  readonly connection = new Connection();
  readonly #options: ApiClientOptions;

  constructor(options: ApiClientOptions) {
    this.url = options.url;
    this.#options = options;
  }

  close(): void {
    this.connection.close();
  }

  retrying<T>(step: () => Promise<T>): Promise<T> {
    return retrying({ ...this.#options, hasReached: (origin) => this.connection.hasReached(origin) }, step);
  }

  /** One request to the API; the answer with its body unread. Throws Unreachable, Refused. */
  async send(method: string, path: string, { query = {}, headers = {}, json, body }: ApiRequest = {}): Promise<IncomingMessage> {
    const url = new URL(`${this.url}${path}`);
    for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, value);
    const { token } = this.#options;
    const answer = await this.connection.send({
      method,
      url,
      headers: {
        Accept: 'application/json',
        ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
        ...(json === undefined ? {} : { 'Content-Type': 'application/json' }),
        ...headers,
      },
      body: json === undefined ? body : jsonBody(json),
      askFirst: true,
    });
    if ((answer.statusCode ?? 0) >= 400) throw await refusal(answer);
    return answer;
  }

  /** The same, with the answer read and checked. */
  async read<T>(schema: z.ZodType<T>, method: string, path: string, request: ApiRequest = {}): Promise<T> {
    const answer = await this.send(method, path, request);
    const text = await readAll(answer).catch((cause: Error) => {
      throw new Unreachable(new URL(this.url).origin, cause);
    });
    const result = schema.safeParse(parseJson(text.toString('utf8')));
    if (result.success) return result.data;
    throw notWindlass(this.url);
  }

  upload(id: string): Promise<UploadAnswer> {
    return this.retrying(() => this.read(uploadAnswer, 'GET', `/v1/uploads/${id}`));
  }

  /** The upload once its state is final, however long that takes. */
  async settled(id: string, onChange?: (upload: UploadAnswer) => void): Promise<UploadAnswer> {
    for (;;) {
      const upload = await this.retrying(() =>
        this.read(uploadAnswer, 'GET', `/v1/uploads/${id}`, { headers: { Prefer: `wait=${WAIT_SECONDS}` } }),
      );
      if (isFinal(upload.state as UploadState)) return upload;
      onChange?.(upload);
      // A server that is being stopped answers waits at once.
      await this.#options.sleep(1000);
    }
  }

  /** Newest first, page by page, at most `limit`. */
  async *list({ state, strategy, resourceType, resourceId }: ListFilter, limit: number): AsyncGenerator<UploadAnswer> {
    let cursor: string | undefined;
    for (let left = limit; left > 0; ) {
      const query = { state, strategy, resourceType, resourceId, cursor, limit: String(Math.min(left, PAGE)) };
      const { items, nextCursor } = await this.retrying(() => this.read(pageAnswer, 'GET', '/v1/uploads', { query }));
      yield* items.slice(0, left);
      left -= items.length;
      if (nextCursor === null || items.length === 0) return;
      cursor = nextCursor;
    }
  }

  /** Repeats are safe: what is gone already counts as gone once this client has asked for it. */
  async remove(id: string): Promise<void> {
    let asked = false;
    await this.retrying(async () => {
      try {
        const answer = await this.send('DELETE', `/v1/uploads/${id}`);
        answer.resume();
      } catch (error) {
        if (asked && error instanceof Refused && error.problem.status === 404) return;
        asked = true;
        throw error;
      }
    });
  }
}

function jsonBody(json: unknown): Body {
  const bytes = Buffer.from(JSON.stringify(json));
  return { size: bytes.length, open: () => Readable.from([bytes]) };
}

async function readAll(answer: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of answer) {
    size += chunk.length;
    if (size > MAX_ANSWER_BYTES) break;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** The error that an answer of 4xx or 5xx stands for, whether it is one of Windlass or of something between. */
export async function refusal(answer: IncomingMessage): Promise<Refused> {
  const status = answer.statusCode ?? 0;
  const bytes = await readAll(answer).catch(() => Buffer.alloc(0));
  const text = bytes.toString('utf8');
  const { type, title, detail, code, requestId, errors, ...rest } = problemAnswer.safeParse(parseJson(text)).data ?? {};
  const retryAfter = Number(answer.headers['retry-after'] ?? Number.NaN);
  const problem: Problem = {
    status,
    title: title ?? `${status} ${STATUS_CODES[status] ?? ''}`.trim(),
    detail: detail ?? s3Message(text) ?? (code ? '' : 'The answer has no explanation; it may come from a proxy.'),
    code: code ?? null,
    type: type && /^https?:/.test(type) ? type : null,
    requestId: requestId ?? null,
    errors: errors ?? [],
    facts: Object.fromEntries(Object.entries(rest).filter(([, fact]) => fact !== undefined)),
    retryAfter: Number.isFinite(retryAfter) ? retryAfter : null,
  };
  return new Refused(problem);
}

/** What an object store says in its own form. */
function s3Message(xml: string): string | null {
  const [, code] = /<Code>([^<]{1,100})<\/Code>/.exec(xml) ?? [];
  const [, message = ''] = /<Message>([^<]{1,500})<\/Message>/.exec(xml) ?? [];
  return code === undefined ? null : `The object store says ${code}: ${message}`;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const notWindlass = (url: string): LocalFailure =>
  new LocalFailure('unexpected_answer', `what answers at ${url} does not speak as Windlass does`, 'Check --url or WINDLASS_URL.');
