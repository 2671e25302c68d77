import type { IncomingMessage } from 'node:http';
import type { UploadAnswer } from './answers.ts';
import { type ApiClient, refusal } from './api-client.ts';
import { LocalFailure, Unreachable } from './failures.ts';

const MAX_REDIRECTS = 5;

/** Where downloaded bytes go. */
export interface Sink {
  /** Bytes that it has, from the beginning of the file. */
  readonly offset: number;
  /** Resolves when the chunk has been taken. */
  write(chunk: Buffer): Promise<void>;
  /** SHA-256 of all that it has, lower-case hex. */
  digest(): string;
}

/** A file of the server: what it should come out as. */
export interface Content {
  upload: UploadAnswer;
  etag: string | null;
  /** Lower-case hex; null where the server does not know it. */
  sha256: string | null;
}

/** Throws LocalFailure for an upload that is not stored. */
export async function describeContent(client: ApiClient, id: string): Promise<Content> {
  const upload = await client.upload(id);
  if (upload.state !== 'stored')
    throw new LocalFailure('not_stored', `its state is ${upload.state}, so it cannot be read`, `Wait for it: windlass status ${id} --wait`);
  const head = await client.retrying(() => client.send('HEAD', contentPath(id)));
  head.resume();
  const { 'repr-digest': digest = '', etag = null } = head.headers;
  const declared = /(?:^|,)\s*sha-256=:([A-Za-z0-9+/]{43}=):/.exec(String(digest))?.[1];
  return { upload, etag, sha256: declared ? Buffer.from(declared, 'base64').toString('hex') : upload.sha256 };
}

/** Fills the sink from where it is to the end, continuing after cuts. True when the whole has the right SHA-256. */
export async function download(client: ApiClient, content: Content, sink: Sink): Promise<boolean> {
  const { size } = content.upload;
  while (sink.offset < size)
    await client.retrying(async () => {
      const before = sink.offset;
      try {
        await readOn(client, content, sink);
      } catch (error) {
        // What got on is no failure: the patience for failures in a row begins anew.
        if (!(error instanceof Unreachable) || sink.offset === before) throw error;
      }
    });
  return sink.offset === size && (content.sha256 === null || sink.digest() === content.sha256);
}

async function readOn(client: ApiClient, content: Content, sink: Sink): Promise<void> {
  const start = sink.offset;
  const answer = await openAt(client, content, start);
  const { statusCode } = answer;
  if (statusCode === 206 && !answer.headers['content-range']?.startsWith(`bytes ${start}-`))
    throw new LocalFailure('unexpected_answer', 'the server sent another range than was asked for', 'Run the command again.');
  // An answer of 200 is the whole file: what is there already is passed over. A file never changes under its id.
  let skip = statusCode === 206 ? 0 : start;
  for await (const chunk of answerBytes(answer, client.url)) {
    const rest = chunk.subarray(skip);
    skip -= chunk.length - rest.length;
    if (rest.length > 0) await sink.write(rest);
  }
  if (sink.offset < content.upload.size) throw cut(client.url, new Error('the answer ended early'));
}

/** Keeps failures of the network apart from failures of the sink. */
async function* answerBytes(answer: IncomingMessage, url: string): AsyncGenerator<Buffer> {
  try {
    yield* answer;
  } catch (error) {
    throw cut(url, error as Error);
  }
}

const cut = (url: string, cause: Error): Unreachable =>
  new Unreachable(new URL(url).origin, Object.assign(new Error('the connection was cut', { cause }), { code: 'ECONNRESET' }));

async function openAt(client: ApiClient, { upload, etag }: Content, start: number): Promise<IncomingMessage> {
  const range: Record<string, string> = start > 0 ? { Range: `bytes=${start}-` } : {};
  const ifRange: Record<string, string> = start > 0 && etag ? { 'If-Range': etag } : {};
  let answer = await client.send('GET', contentPath(upload.id), { headers: { Accept: '*/*', ...range, ...ifRange } });
  for (let hops = 0; isRedirect(answer); hops++) {
    answer.resume();
    if (hops === MAX_REDIRECTS)
      throw new LocalFailure('unexpected_answer', 'the server redirects without end', 'Check --url or WINDLASS_URL.');
    // The store has its own ETags, and its links their own authority: no If-Range, no token.
    const url = new URL(answer.headers.location ?? '', client.url);
    answer = await client.connection.send({ method: 'GET', url, headers: range });
    if ((answer.statusCode ?? 0) >= 400) throw await refusal(answer);
  }
  return answer;
}

const isRedirect = ({ statusCode = 0, headers }: IncomingMessage): boolean =>
  statusCode >= 300 && statusCode < 400 && headers.location !== undefined;
const contentPath = (id: string): string => `/v1/uploads/${id}/content`;
