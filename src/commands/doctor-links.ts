import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { refusal } from '../client/api-client.ts';
import type { Connection } from '../client/connection.ts';
import { keyOf } from '../core/keys.ts';
import type { Platform } from '../platform.ts';
import type { SignedRequest } from '../ports/presigner.ts';
import { PROBE_TENANT, PROBE_TYPE, probe } from './doctor-machine.ts';
import { checkClock } from './doctor-public.ts';
import { type Advice, broken, checked, type Finding, ok, skipped } from './finding.ts';

type LinkParts = Pick<Platform, 'config' | 'presigner' | 'store' | 'newId' | 'clock'>;

const LINK_MS = 60_000;

/** What clients meet who upload by link: the store at its public address. `publicUrl` is null where nobody knows it. */
export async function* checkLinks(parts: LinkParts, connection: Connection, publicUrl: string | null): AsyncGenerator<Finding> {
  const { store, config, clock } = parts;
  const answers: { origin: string; date: string | undefined }[] = [];
  const put = await checked('signed PUT', putAdvice(store.name), () =>
    checkSignedPut(parts, async (request, bytes) => {
      const body = { size: bytes.length, open: () => Readable.from([bytes]) };
      const { method, headers } = request;
      const url = new URL(request.url);
      const answer = await connection.send({ method, url, headers, body });
      answers.push({ origin: url.origin, date: answer.headers.date });
      return answer;
    }),
  );
  // The embedded store is the server itself, whose clock is looked at anyway.
  if (store.name === 's3') for (const { origin, date } of answers) yield checkClock('clock of the store', origin, date, clock());
  yield put;
  if (answers.length === 0) return yield skipped('CORS preflight', 'not tried: nobody answers there');
  const origin = originOf(config.CORS_ORIGINS ?? (publicUrl === null ? [] : [publicUrl]));
  if (origin === null) yield skipped('CORS preflight', 'no origin is known: neither CORS_ORIGINS nor PUBLIC_URL is set');
  else yield await checkPreflight(parts, connection, origin);
}

/** The first of the origins that links are to be used from. */
function originOf([first]: readonly string[]): string | null {
  if (first === undefined) return null;
  return first === '*' ? 'https://app.example.com' : new URL(first).origin;
}

/** An object that clients could write, for one minute. */
async function signProbe({ presigner, newId, clock }: LinkParts): Promise<{ key: string; bytes: Buffer; request: SignedRequest }> {
  const id = newId();
  const { bytes, sha256 } = probe(id);
  const key = keyOf('staging', PROBE_TENANT, id);
  const request = await presigner.put({ key, size: bytes.length, contentType: PROBE_TYPE, sha256, expiresAt: clock() + LINK_MS });
  return { key, bytes, request };
}

type Send = (request: SignedRequest, bytes: Buffer) => Promise<IncomingMessage>;

async function checkSignedPut(parts: LinkParts, send: Send): Promise<Finding> {
  const { key, bytes, request } = await signProbe(parts);
  const { origin } = new URL(request.url);
  const advice = putAdvice(parts.store.name);
  try {
    const answer = await send(request, bytes);
    if ((answer.statusCode ?? 0) >= 300)
      return broken('signed PUT', `${origin} answered ${answer.statusCode}: ${(await refusal(answer)).message}`, advice);
    answer.resume();
    if (!(await parts.store.head(key))) return broken('signed PUT', `${origin} took it, but it is not in this store`, advice);
  } finally {
    await parts.store.remove(key);
  }
  return ok('signed PUT', `taken by ${origin}`);
}

const putAdvice = (store: 'disk' | 's3'): string =>
  store === 'disk'
    ? 'The server there must have the same DATA_DIR or LINK_SECRET, and PUBLIC_URL must lead to it unchanged.'
    : 'S3_PUBLIC_ENDPOINT must be the address that clients reach this store by, and proxies must leave host and path as they are. Where only this machine cannot reach it, run this where clients are.';

const PREFLIGHT_ADVICE = {
  disk: 'Browsers of that origin cannot upload by link: name it in CORS_ORIGINS, and let proxies pass OPTIONS through.',
  s3: 'Browsers of that origin cannot upload by link: name it in CORS_ORIGINS and run windlass provision; where the store has no CORS rules for a bucket, allow it at the server (MinIO: MINIO_API_CORS_ALLOW_ORIGIN) or a proxy before it.',
} as const;

function checkPreflight(parts: LinkParts, connection: Connection, origin: string): Promise<Finding> {
  const advice: Advice = PREFLIGHT_ADVICE[parts.store.name];
  return checked('CORS preflight', advice, async () => {
    const { request } = await signProbe(parts);
    const headers = {
      Origin: origin,
      'Access-Control-Request-Method': request.method,
      'Access-Control-Request-Headers': Object.keys(request.headers).join(',').toLowerCase(),
    };
    const answer = await connection.send({ method: 'OPTIONS', url: new URL(request.url), headers });
    answer.resume();
    const allowed = answer.headers['access-control-allow-origin'];
    const methods = String(answer.headers['access-control-allow-methods'] ?? '');
    if (allowed === '*' || (allowed === origin && /\bPUT\b|\*/.test(methods))) return ok('CORS preflight', `${origin} may PUT`);
    return broken('CORS preflight', `${answer.statusCode}: ${origin} may not PUT`, advice);
  });
}
