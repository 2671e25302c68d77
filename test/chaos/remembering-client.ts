import { expect } from '@jest/globals';
import { type Answer, ApiClient, type Bytes, follow, type LinkView } from '../support/api-client.ts';
import { eventually } from '../support/eventually.ts';
import { allIds } from '../support/leftovers.ts';
import { RandomFile, sha256Of } from '../support/random-file.ts';
import { PNG } from '../support/samples.ts';

/** The server went away before it answered: nothing was promised. (Realms differ under Jest: `instanceof` would not know fetch's errors.) */
const isGone = (error: unknown): boolean => /fetch failed|terminated|other side closed/.test((error as Error).message);

interface Attempt {
  strategy: 'direct' | 'relay';
  bytes: Bytes;
}

/**
 * A client that remembers what the server has acknowledged, and afterwards asks for all of it. Every file it sends has
 * bytes of its own, so that an upload that was made twice shows.
 */
export class RememberingClient {
  /** SHA-256 by id: the server has said that it has them. */
  readonly #acknowledged = new Map<string, string>();
  /** SHA-256 by id: the store took all bytes, completion was not answered yet. */
  readonly #staged = new Map<string, string>();
  readonly #deleted = new Set<string>();
  /** Deletion was asked for and not answered. */
  readonly #uncertain = new Set<string>();
  /** By Idempotency-Key: requests without an answer. */
  readonly #attempts = new Map<string, Attempt>();
  readonly #linked = new Map<string, string[]>();
  readonly #unexpected: string[] = [];
  readonly #name: string;
  #count = 0;

  constructor(name: string) {
    this.#name = name;
  }

  get acknowledged(): number {
    return this.#acknowledged.size;
  }

  /** Does its work until it is done, or the server is gone. */
  async work(url: string, steps: readonly Step[] = STEPS): Promise<void> {
    const api = new ApiClient(url);
    try {
      for (const step of steps) await this.#steps[step](api);
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }

  readonly #steps: Record<Step, (api: ApiClient) => Promise<unknown>> = {
    direct: (api) => this.#receive(api, 'direct'),
    relay: async (api) => {
      const id = await this.#receive(api, 'relay');
      if (id) await api.get(`/v1/uploads/${id}`, { Prefer: 'wait=20' });
    },
    presign: (api) => this.#presign(api, 1000),
    parts: (api) => this.#presign(api, 5 * 1024 ** 2 + 1000),
    contradiction: (api) => this.#contradict(api),
    resource: (api) => this.#link(api),
    deletion: (api) => this.#delete(api),
    abandon: async (api) => {
      for (const size of [1000, 5 * 1024 ** 2 + 1000]) await this.#stage(api, size);
    },
  };

  async #file(size: number): Promise<Bytes> {
    this.#count += 1;
    return (await new RandomFile(size, `${this.#name} ${this.#count}`).bytes()) as Bytes;
  }

  async #receive(api: ApiClient, strategy: Attempt['strategy']): Promise<string | null> {
    const bytes = await this.#file(50_000);
    const key = `${this.#name}-${this.#count}`;
    this.#attempts.set(key, { strategy, bytes });
    return this.#attempt(api, key, { strategy, bytes });
  }

  async #attempt(api: ApiClient, key: string, { strategy, bytes }: Attempt): Promise<string | null> {
    const answer = await api.raw(strategy, bytes, { headers: { 'Idempotency-Key': key } });
    if (!this.#expected(answer, [strategy === 'direct' ? 201 : 202])) return null;
    this.#attempts.delete(key);
    this.#acknowledged.set(answer.body.id, sha256Of(bytes));
    return answer.body.id;
  }

  /** Sends a file by links; its id once the store has taken all of it. */
  async #stage(api: ApiClient, size: number): Promise<string | null> {
    const bytes = await this.#file(size);
    const answer = await api.presign({ size });
    if (!this.#expected(answer, [201])) return null;
    const { id } = answer.body.upload;
    if (answer.body.request) await this.#send(answer.body.request, bytes);
    else await this.#sendParts(api, answer, bytes);
    this.#staged.set(id, sha256Of(bytes));
    return id;
  }

  async #send(request: LinkView, bytes: Bytes): Promise<void> {
    const response = await follow(request, bytes);
    if (!response.ok) this.#unexpected.push(`link: ${response.status} ${await response.text()}`);
  }

  async #sendParts(api: ApiClient, { body: { upload, multipart } }: Answer, bytes: Bytes): Promise<void> {
    const partNumbers = Array.from({ length: multipart.partCount }, (_, index) => index + 1);
    const signed = await api.json('POST', `/v1/uploads/${upload.id}/parts`, { partNumbers });
    if (!this.#expected(signed, [200])) return;
    for (const { partNumber, url, headers, expiresAt } of signed.body.parts) {
      const start = (partNumber - 1) * multipart.partSize;
      await this.#send({ method: 'PUT', url, headers, expiresAt }, bytes.slice(start, start + multipart.partSize));
    }
  }

  async #presign(api: ApiClient, size: number): Promise<string | null> {
    const id = await this.#stage(api, size);
    return id && this.#complete(api, id);
  }

  async #complete(api: ApiClient, id: string): Promise<string | null> {
    const answer = await api.complete(id);
    if (!this.#expected(answer, [200, 202])) return null;
    this.#acknowledged.set(id, this.#staged.get(id) ?? '');
    this.#staged.delete(id);
    return id;
  }

  async #contradict(api: ApiClient): Promise<void> {
    const answer = await api.presign({ size: PNG.length, contentType: 'image/jpeg' });
    if (!this.#expected(answer, [201])) return;
    await this.#send(answer.body.request, PNG as Bytes);
    this.#expected(await api.complete(answer.body.upload.id), [422]);
  }

  async #link(api: ApiClient): Promise<void> {
    const ids = [await this.#receive(api, 'direct'), await this.#stage(api, 1000)].filter((id) => id !== null);
    const path = `/v1/resources/post/${this.#name}`;
    const answer = await api.json('PUT', path, { attributes: {}, uploads: ids.map((id) => ({ id })) });
    if (!this.#expected(answer, [200, 201])) return;
    for (const id of ids) this.#acknowledged.set(id, this.#staged.get(id) ?? this.#acknowledged.get(id) ?? '');
    for (const id of ids) this.#staged.delete(id);
    this.#linked.set(path, ids);
  }

  async #delete(api: ApiClient): Promise<void> {
    const relayed = await this.#receive(api, 'relay');
    const ids = [await this.#receive(api, 'direct'), await this.#presign(api, 1000), relayed].filter((id) => id !== null);
    for (const id of ids) {
      this.#acknowledged.delete(id);
      this.#uncertain.add(id);
      if (!this.#expected(await api.send('DELETE', `/v1/uploads/${id}`), [204])) continue;
      this.#uncertain.delete(id);
      this.#deleted.add(id);
    }
  }

  #expected({ status, text }: Answer, statuses: number[]): boolean {
    if (statuses.includes(status)) return true;
    this.#unexpected.push(`${status} ${text}`);
    return false;
  }

  /** Asks for everything that was acknowledged, and carries on with what was begun. */
  async expectKept(url: string): Promise<void> {
    const api = new ApiClient(url);
    for (const [key, attempt] of [...this.#attempts])
      await eventually(async () => {
        const earlier = this.#unexpected.length;
        await this.#attempt(api, key, attempt);
        const news = this.#unexpected.splice(earlier);
        if (news.length > 0) throw new Error(news.join());
      });
    for (const id of [...this.#staged.keys()]) await this.#complete(api, id);
    expect(this.#unexpected).toEqual([]);
    for (const [id, sha256] of this.#acknowledged) await expectStored(api, id, sha256);
    for (const id of this.#deleted) expect([id, (await api.upload(id)).status]).toEqual([id, 404]);
    for (const [path, ids] of this.#linked) {
      const { body } = await api.get(path);
      expect(body.uploads.map(({ id }) => id).sort()).toEqual([...ids].sort());
    }
    await expectNoDoubles(api);
  }

  /** Nothing is expected of uploads that were left to run out. */
  forgetStaged(): void {
    this.#staged.clear();
  }
}

async function expectStored(api: ApiClient, id: string, sha256: string): Promise<void> {
  let upload = await api.settled(id);
  if (upload.state === 'failed') {
    expect((await api.json('POST', `/v1/admin/uploads/${id}/redrive`)).status).toBe(202);
    upload = await api.settled(id);
  }
  expect(upload).toMatchObject({ id, state: 'stored', sha256 });
  expect(await api.contentDigest(id)).toEqual({ status: 200, sha256, size: upload.size });
}

/** One upload, one object: no bytes were stored twice. */
async function expectNoDoubles(api: ApiClient): Promise<void> {
  const seen = new Map<string, string>();
  for (const id of await allIds(api)) {
    const { sha256, state } = (await api.upload(id)).body;
    if (state !== 'stored' || sha256 === null) continue;
    expect([id, seen.get(sha256)]).toEqual([id, undefined]);
    seen.set(sha256, id);
  }
}

export type Step = 'direct' | 'relay' | 'presign' | 'parts' | 'contradiction' | 'resource' | 'deletion' | 'abandon';

const STEPS: readonly Step[] = ['direct', 'relay', 'presign', 'parts', 'contradiction', 'resource', 'deletion'];
