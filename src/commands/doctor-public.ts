import { Readable } from 'node:stream';
import { refusal } from '../client/api-client.ts';
import { Connection } from '../client/connection.ts';
import { isUnreachable } from '../client/failures.ts';
import { keyOf } from '../core/keys.ts';
import type { Platform } from '../platform.ts';
import type { SignedRequest } from '../ports/presigner.ts';
import { PROBE_TYPE, probe } from './doctor-machine.ts';
import { PROBE_TENANT } from './doctor-parts.ts';
import { broken, checked, type Finding, ok, skipped } from './finding.ts';

type Parts = Pick<Platform, 'config' | 'presigner' | 'store' | 'newId' | 'clock'>;

const LINK_MS = 60_000;
const ANSWER_MS = 10_000;
/** Links last minutes; the Date header has whole seconds. */
const MAX_SKEW_MS = 30_000;

/** What clients meet, through the address that they use. Where no server runs there, that is said, and nothing is broken. */
export async function checkPublic(parts: Parts, publicUrl: string): Promise<Finding[]> {
  const connection = new Connection(ANSWER_MS);
  try {
    const date = await serverDate(connection, publicUrl);
    const clock = checkClock(publicUrl, date, parts.clock());
    return [clock, await checkSignedPut(parts, connection), await checkPreflight(parts, connection, publicUrl)];
  } catch (error) {
    if (!isUnreachable(error)) throw error;
    const advice = 'Start the server and run this again; if it runs, PUBLIC_URL is not its address.';
    return [skipped('public address', `no server answers at ${publicUrl}: ${error.message}`, advice)];
  } finally {
    connection.close();
  }
}

async function serverDate(connection: Connection, publicUrl: string): Promise<string | undefined> {
  const answer = await connection.send({ method: 'HEAD', url: new URL(`${publicUrl}/`), headers: {} });
  answer.resume();
  return answer.headers.date;
}

function checkClock(publicUrl: string, date: string | undefined, now: number): Finding {
  if (!date) return skipped('clock', `${publicUrl} tells no time`);
  const skew = Math.abs(now - Date.parse(date));
  if (skew <= MAX_SKEW_MS) return ok('clock', `within ${Math.ceil(skew / 1000)} s of ${publicUrl}`);
  return broken(
    'clock',
    `${Math.round(skew / 1000)} s away from ${publicUrl}`,
    'Synchronise the clocks (NTP): links run out too early or too late.',
  );
}

/** An object that clients could write, for one minute. */
async function signProbe({ presigner, newId, clock }: Parts): Promise<{ key: string; bytes: Buffer; request: SignedRequest }> {
  const id = newId();
  const { bytes, sha256 } = probe(id);
  const key = keyOf('staging', PROBE_TENANT, id);
  const request = await presigner.put({ key, size: bytes.length, contentType: PROBE_TYPE, sha256, expiresAt: clock() + LINK_MS });
  return { key, bytes, request };
}

function checkSignedPut(parts: Parts, connection: Connection): Promise<Finding> {
  const advice = 'The server there must have the same DATA_DIR or LINK_SECRET, and PUBLIC_URL must lead to it unchanged.';
  return checked('signed PUT', advice, async () => {
    const { key, bytes, request } = await signProbe(parts);
    const url = new URL(request.url);
    try {
      const body = { size: bytes.length, open: () => Readable.from([bytes]) };
      const answer = await connection.send({ method: request.method, url, headers: request.headers, body });
      if ((answer.statusCode ?? 0) >= 300) return broken('signed PUT', `${answer.statusCode}: ${(await refusal(answer)).message}`, advice);
      answer.resume();
      if (!(await parts.store.head(key))) return broken('signed PUT', `${url.origin} took it, but it is not in this store`, advice);
    } finally {
      await parts.store.remove(key);
    }
    return ok('signed PUT', `taken by ${url.origin}`);
  });
}

function checkPreflight(parts: Parts, connection: Connection, publicUrl: string): Promise<Finding> {
  const advice = 'Browsers of that origin cannot upload by link: name it in CORS_ORIGINS, and let proxies pass OPTIONS through.';
  return checked('CORS preflight', advice, async () => {
    const { request } = await signProbe(parts);
    const [first = publicUrl] = parts.config.CORS_ORIGINS ?? [];
    const origin = first === '*' ? 'https://app.example.com' : new URL(first).origin;
    const headers = {
      Origin: origin,
      'Access-Control-Request-Method': 'PUT',
      'Access-Control-Request-Headers': 'content-type,content-digest',
    };
    const answer = await connection.send({ method: 'OPTIONS', url: new URL(request.url), headers });
    answer.resume();
    const allowed = answer.headers['access-control-allow-origin'];
    const methods = String(answer.headers['access-control-allow-methods'] ?? '');
    if (allowed === '*' || (allowed === origin && /\bPUT\b|\*/.test(methods))) return ok('CORS preflight', `${origin} may PUT`);
    return broken('CORS preflight', `${answer.statusCode}: ${origin} may not PUT`, advice);
  });
}
