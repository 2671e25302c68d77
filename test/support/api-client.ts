import { Readable } from 'node:stream';
import { digestOf, type RandomFile, sha256Of } from './random-file.ts';
import { ELSEWHERE } from './server-elsewhere.ts';

export interface LinkView {
  method: 'PUT' | 'POST';
  url: string;
  headers: Record<string, string>;
  fields?: Record<string, string>;
  expiresAt: string;
}

export interface UploadView {
  id: string;
  strategy: string;
  state: string;
  filename: string;
  contentType: string;
  size: number;
  sha256: string | null;
  url: string | null;
  location: { store: string; bucket: string | null; key: string; node: string | null } | null;
  resource: { type: string; id: string } | null;
  metadata: Record<string, string>;
  error: { code: string; detail: string } | null;
  attempts: number;
  createdAt: string;
  updatedAt: string;
  storedAt: string | null;
  expiresAt: string | null;
}

interface ProblemView {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: string;
  requestId: string;
  limit: number;
  expected: unknown;
  actual: unknown;
  errors: { pointer: string; detail: string; code?: string }[];
}

interface OtherViews {
  upload: UploadView;
  request: LinkView;
  multipart: { partSize: number; partCount: number; expiresAt: string };
  parts: { partNumber: number; url: string; headers: Record<string, string>; expiresAt: string; etag: string; size: number }[];
  items: UploadView[];
  nextCursor: string | null;
  attributes: Record<string, unknown>;
  uploads: UploadView[];
}

/** Every member that some answer has: which ones are there is what the tests ask. */
export type Body = UploadView & ProblemView & OtherViews;

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  body: Body;
}

export interface Order {
  filename?: string;
  contentType?: string;
  size: number;
  sha256?: string;
  resource?: { type: string; id: string };
  metadata?: Record<string, string>;
  method?: 'PUT' | 'POST';
}

export interface RawUpload {
  type?: string | undefined;
  headers?: Record<string, string>;
  query?: Record<string, string>;
}

export type Bytes = string | Uint8Array<ArrayBuffer>;

/** Behind one address there may be many servers: then each request is to come to the next of them, on a connection of its own. */
const CONNECTION: Record<string, string> = process.env.TEST_ON_STACK === 'true' || ELSEWHERE ? { Connection: 'close' } : {};

/** What a user of the API writes: fetch and JSON, nothing of the server's code. */
export class ApiClient {
  readonly base: string;
  readonly #headers: Record<string, string>;

  constructor(base: string, { token, headers = {} }: { token?: string; headers?: Record<string, string> } = {}) {
    this.base = base;
    this.#headers = token === undefined ? headers : { ...headers, Authorization: `Bearer ${token}` };
  }

  /** `path` is one of the API's, or a whole address, which gets no token of ours unless it is the API's. */
  fetch(path: string, init: RequestInit & { duplex?: 'half' } = {}): Promise<Response> {
    const address = path.startsWith('http') ? path : `${this.base}${path}`;
    if (!address.startsWith(`${this.base}/`)) return fetch(address, init);
    return fetch(address, {
      ...init,
      headers: { ...CONNECTION, ...this.#headers, ...(init.headers as Record<string, string>) },
    });
  }

  async send(method: string, path: string, init: RequestInit = {}): Promise<Answer> {
    const response = await this.fetch(path, { ...init, method });
    const text = await response.text();
    const isJson = /\bjson\b/.test(response.headers.get('content-type') ?? '');
    return { status: response.status, headers: response.headers, text, body: isJson && text !== '' ? JSON.parse(text) : ({} as Body) };
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.send('GET', path, { headers });
  }

  json(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    if (body === undefined) return this.send(method, path, { headers });
    return this.send(method, path, { headers: { 'Content-Type': 'application/json', ...headers }, body: JSON.stringify(body) });
  }

  raw(
    strategy: 'direct' | 'relay',
    bytes: Bytes,
    { type = 'application/octet-stream', headers = {}, query = {} }: RawUpload = {},
  ): Promise<Answer> {
    const search = new URLSearchParams(query).toString();
    return this.send('POST', `/v1/uploads/${strategy}${search && `?${search}`}`, {
      headers: { 'Content-Type': type, ...headers },
      body: bytes,
    });
  }

  form(
    strategy: 'direct' | 'relay',
    { contentType, body }: { contentType: string; body: Bytes },
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    return this.send('POST', `/v1/uploads/${strategy}`, { headers: { 'Content-Type': contentType, ...headers }, body });
  }

  presign(order: Order, headers: Record<string, string> = {}): Promise<Answer> {
    return this.json('POST', '/v1/uploads/presign', { filename: 'cat.bin', contentType: 'application/octet-stream', ...order }, headers);
  }

  complete(id: string, body?: unknown): Promise<Answer> {
    return this.json('POST', `/v1/uploads/${id}/complete`, body);
  }

  upload(id: string): Promise<Answer> {
    return this.get(`/v1/uploads/${id}`);
  }

  /** The upload once its state is final; the server waits, not we. */
  async settled(id: string): Promise<UploadView> {
    const { status, body } = await this.get(`/v1/uploads/${id}`, { Prefer: 'wait=20' });
    if (status !== 200) throw new Error(`waiting for ${id} was answered ${status} ${body.code}`);
    return body;
  }

  /** A stored upload made by all steps of the presign strategy. */
  async presigned(bytes: Bytes, order: Partial<Order> = {}): Promise<UploadView> {
    const { body } = await this.presign({ size: Buffer.byteLength(bytes), ...order });
    const sent = await follow(body.request, bytes);
    if (!sent.ok) throw new Error(`the link was answered ${sent.status}: ${await sent.text()}`);
    const completed = await this.complete(body.upload.id);
    if (completed.status !== 200) throw new Error(`completion was answered ${completed.status}: ${completed.text}`);
    return completed.body;
  }

  /** SHA-256 and size of an upload's content, as read by HTTP. */
  async contentDigest(id: string): Promise<{ status: number; sha256: string; size: number }> {
    const response = await this.fetch(`/v1/uploads/${id}/content`);
    const { sha256, size } = await digestOf(response.body ?? (Readable.from([]) as AsyncIterable<Uint8Array>));
    return { status: response.status, sha256, size };
  }

  async content(id: string): Promise<string> {
    return (await this.fetch(`/v1/uploads/${id}/content`)).text();
  }
}

/** Sends bytes by a signed request, exactly as it was handed out. */
export function follow(request: LinkView, bytes: Bytes, signal: AbortSignal | null = null): Promise<Response> {
  if (!request.fields) return fetch(request.url, { method: request.method, headers: request.headers, body: bytes, signal });
  const form = new FormData();
  for (const [name, value] of Object.entries(request.fields)) form.append(name, value);
  form.append('file', new Blob([bytes]), 'file');
  return fetch(request.url, { method: request.method, headers: request.headers, body: form, signal });
}

/** A body for fetch that streams a random file. */
export const bodyOf = (file: RandomFile, start = 0, end = file.size): RequestInit & { duplex: 'half' } => ({
  body: Readable.toWeb(file.stream(start, end)) as ReadableStream,
  duplex: 'half',
});

/** RFC 9530. */
export const contentDigest = (bytes: Bytes): string => `sha-256=:${Buffer.from(sha256Of(bytes), 'hex').toString('base64')}:`;
