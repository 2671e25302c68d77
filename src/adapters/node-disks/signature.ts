import { createHmac, timingSafeEqual } from 'node:crypto';

/** Clocks of servers may differ by this much, and a request may be on its way for as long. Milliseconds. */
const TOLERANCE_MS = 5 * 60_000;
const SCHEME = /^Windlass time=(\d{1,15}), signature=([A-Za-z0-9_-]{43})$/;

/** What an internal request is: all of it but its Range, which changes nothing. */
export interface InternalRequest {
  /** Name of the server it is meant for: one that an outdated address leads to must not answer for its disk. */
  node: string;
  method: string;
  path: string;
}

/** The Authorization header of a request from one server to another. `now` is epoch ms. */
export function signRequest(secret: string, request: InternalRequest, now: number): string {
  return `Windlass time=${now}, signature=${mac(secret, request, String(now))}`;
}

/** Whether a header was made by `signRequest` with the same secret, for this request, not long ago. In constant time. */
export function isSigned(secret: string, request: InternalRequest, header: string, now: number): boolean {
  const [, time = '', signature = ''] = SCHEME.exec(header) ?? [];
  const expected = Buffer.from(mac(secret, request, time));
  const given = Buffer.from(signature);
  return expected.length === given.length && timingSafeEqual(expected, given) && Math.abs(now - Number(time)) <= TOLERANCE_MS;
}

export const SEAL_BYTES = 32;

/** What the body of a signed request ends with: its bytes have this SHA-256 (hex), and who signed the request says so. */
export const sealOf = (secret: string, authorization: string, sha256: string): Buffer =>
  createHmac('sha256', secret)
    .update(JSON.stringify([authorization, sha256]))
    .digest();

const mac = (secret: string, { node, method, path }: InternalRequest, time: string): string =>
  createHmac('sha256', secret)
    .update(JSON.stringify([node, method, path, time]))
    .digest('base64url');
