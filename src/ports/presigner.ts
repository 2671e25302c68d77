/** What a link is bound to. The store refuses any other method, size, type, digest or time. */
export interface PutTerms {
  key: string;
  /** Bytes, exactly. */
  size: number;
  contentType: string;
  /** Lower-case hex, or null when the client did not declare it. */
  sha256: string | null;
  /** Epoch ms. */
  expiresAt: number;
}

export interface PartTerms {
  key: string;
  multipartId: string;
  partNumber: number;
  size: number;
  expiresAt: number;
}

export interface GetTerms {
  key: string;
  filename: string;
  contentType: string;
  expiresAt: number;
}

/** A request that a client can send as it stands. `headers` never names Content-Length or Host. */
export interface SignedRequest {
  method: 'PUT' | 'POST' | 'GET';
  url: string;
  headers: Record<string, string>;
  /** Form fields that go before the file field `file`; only for POST. */
  fields?: Record<string, string>;
}

/** Signs requests that go straight to the object store, for the address that clients reach it by. Makes no network call. */
export interface Presigner {
  put(terms: PutTerms): Promise<SignedRequest>;
  post(terms: PutTerms): Promise<SignedRequest>;
  part(terms: PartTerms): Promise<SignedRequest>;
  get(terms: GetTerms): Promise<SignedRequest>;
}
