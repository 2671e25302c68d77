import { createHmac, timingSafeEqual } from 'node:crypto';
import { WindlassError } from '../../../errors.ts';
import type { GetTerms, PartTerms, Presigner, PutTerms, SignedRequest } from '../../../ports/presigner.ts';
import { type FormFields, policyOf, termsOfPolicy } from './form-policy.ts';

export type Link = { kind: 'put'; terms: PutTerms } | { kind: 'part'; terms: PartTerms } | { kind: 'get'; terms: GetTerms };

type LinkMethod = 'GET' | 'PUT';

export interface DiskPresignerOptions {
  secret: string;
  /** Address that clients reach this server by; the store answers below its `/store`. */
  publicUrl: string;
}

const SIGNATURE = 'signature';
/** The parameters that a link of each kind has, no more and no fewer, besides `expires` and the signature. */
const SHAPES = new Map<string, Link['kind']>([
  ['PUT size type', 'put'],
  ['PUT sha256 size type', 'put'],
  ['PUT multipart part size', 'part'],
  ['GET filename type', 'get'],
]);

/** RFC 9530: the header that carries a SHA-256, given in lower-case hex. */
export const contentDigest = (sha256: string): string => `sha-256=:${Buffer.from(sha256, 'hex').toString('base64')}:`;

/**
 * Signs links of the embedded store, and checks them. The signature (HMAC-SHA256) covers method, key and every parameter
 * exactly as it stands in the address, so nothing can be changed, added, left out or said twice.
 */
export class DiskPresigner implements Presigner {
  readonly #secret: string;
  readonly #base: string;

  constructor({ secret, publicUrl }: DiskPresignerOptions) {
    this.#secret = secret;
    this.#base = `${publicUrl.replace(/\/+$/, '')}/store`;
  }

  async put({ key, size, contentType, sha256, expiresAt }: PutTerms): Promise<SignedRequest> {
    const digest = sha256 === null ? {} : { sha256 };
    const url = this.#sign('PUT', key, { size: String(size), type: contentType, ...digest }, expiresAt);
    return {
      method: 'PUT',
      url,
      headers: { 'Content-Type': contentType, ...(sha256 === null ? {} : { 'Content-Digest': contentDigest(sha256) }) },
    };
  }

  async post(terms: PutTerms): Promise<SignedRequest> {
    const { policy, fields } = policyOf(terms);
    return { method: 'POST', url: this.#base, headers: {}, fields: { ...fields, policy, [SIGNATURE]: this.#mac(['policy', policy]) } };
  }

  async part({ key, multipartId, partNumber, size, expiresAt }: PartTerms): Promise<SignedRequest> {
    const terms = { multipart: multipartId, part: String(partNumber), size: String(size) };
    return { method: 'PUT', url: this.#sign('PUT', key, terms, expiresAt), headers: {} };
  }

  async get({ key, filename, contentType, expiresAt }: GetTerms): Promise<SignedRequest> {
    return { method: 'GET', url: this.#sign('GET', key, { filename: filename.toWellFormed(), type: contentType }, expiresAt), headers: {} };
  }

  /** What a link allows. Throws `link_invalid` for one that this key did not sign, or that has run out at `now` (epoch ms). */
  verify(method: LinkMethod, key: string, query: URLSearchParams, now: number): Link {
    const names = [...query.keys()].sort();
    const kind = SHAPES.get([method, ...names.filter((name) => name !== SIGNATURE && name !== 'expires')].join(' '));
    const value = (name: string): string => query.get(name) ?? '';
    const signed = this.#macOf(method, key, query);
    if (!kind || new Set(names).size !== names.length || !equal(signed, value(SIGNATURE))) throw altered();
    const expiresAt = Number(value('expires'));
    if (now > expiresAt) throw ranOut(expiresAt);
    const size = Number(value('size'));
    const contentType = value('type');
    if (kind === 'put') return { kind, terms: { key, size, contentType, sha256: query.get('sha256'), expiresAt } };
    if (kind === 'get') return { kind, terms: { key, filename: value('filename'), contentType, expiresAt } };
    return { kind, terms: { key, multipartId: value('multipart'), partNumber: Number(value('part')), size, expiresAt } };
  }

  /** What a form allows, from its fields before the file. Throws `link_invalid` as `verify` does. */
  verifyForm(fields: FormFields, now: number): PutTerms {
    const { policy, [SIGNATURE]: signature, ...others } = fields;
    if (!policy || !signature || !equal(this.#mac(['policy', policy]), signature)) throw altered();
    const terms = termsOfPolicy(policy);
    const { fields: expected } = policyOf(terms);
    const names = Object.keys(expected);
    if (Object.keys(others).length !== names.length || names.some((name) => others[name] !== expected[name])) {
      throw new WindlassError('link_invalid', 'A field of the form is not as it was signed.', { expected: names });
    }
    if (now > terms.expiresAt) throw ranOut(terms.expiresAt);
    return terms;
  }

  #sign(method: LinkMethod, key: string, terms: Record<string, string>, expiresAt: number): string {
    const query = new URLSearchParams({ ...terms, expires: String(expiresAt) });
    query.set(SIGNATURE, this.#macOf(method, key, query));
    return `${this.#base}/${key}?${query}`;
  }

  #macOf(method: LinkMethod, key: string, query: URLSearchParams): string {
    const terms = [...query].filter(([name]) => name !== SIGNATURE).sort(([one], [other]) => (one < other ? -1 : 1));
    return this.#mac(['link', method, key, terms]);
  }

  /** JSON keeps apart what a plain joining of texts would let run together. */
  #mac(content: unknown[]): string {
    return createHmac('sha256', this.#secret).update(JSON.stringify(content)).digest('base64url');
  }
}

/** Compares the texts: the same bytes have more than one base64url spelling, and only one of them was given out. */
function equal(expected: string, given: string): boolean {
  const [one, other] = [Buffer.from(expected), Buffer.from(given)];
  return one.length === other.length && timingSafeEqual(one, other);
}

const altered = (): WindlassError => new WindlassError('link_invalid', 'The link is not one that this server signed for this request.');

const ranOut = (expiresAt: number): WindlassError =>
  new WindlassError('link_invalid', `The link has expired: it ran out at ${new Date(expiresAt).toISOString()}.`);
