import type { Upload } from '../core/upload.ts';
import { WindlassError } from '../errors.ts';
import type { Ledger } from '../ledger.ts';
import type { Platform } from '../platform.ts';
import type { LinkIntent, Resource, ResourceKey } from '../ports/resource-repository.ts';
import type { Completion } from './completion.ts';
import { Linking } from './linking.ts';
import { References, type UploadReference } from './references.ts';

/** What a client wants a resource to be. */
export interface ResourceOrder {
  /** Left out, the attributes stay as they are. */
  attributes?: Record<string, unknown> | undefined;
  uploads: readonly UploadReference[];
}

/** Looks at the resource as it is before it is changed; throws to forbid the change. */
export type Precondition = (current: Resource | null) => void;

export interface LinkedResource {
  resource: Resource;
  /** Newest first, at most 1,000. */
  uploads: Upload[];
}

type Parts = Pick<Platform, 'uploads' | 'resources' | 'store' | 'disks' | 'clock'> & {
  ledger: Ledger;
  completion: Pick<Completion, 'complete'>;
};

export const MAX_LISTED = 1000;
const ATTEMPTS = 20;
/** Above this many uploads of unfinished intents, they are finished before there are more. */
const MAX_PREVIOUS = 1000;
const NO_ORDER: ResourceOrder = { attributes: {}, uploads: [] };

/** Strategy 3, step 4: things of the users' own, and which uploads belong to them. */
export class Resources {
  readonly #parts: Parts;
  readonly #linking: Linking;
  readonly #references: References;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#linking = new Linking(parts);
    this.#references = new References(parts);
  }

  /**
   * Creates or changes the resource and makes exactly the named uploads its own. Throws `resource_uploads_invalid` (with
   * nothing changed), whatever `allow` throws, `conflict`.
   */
  async put(key: ResourceKey, order: ResourceOrder, allow: Precondition): Promise<LinkedResource & { created: boolean }> {
    allow(await this.#parts.resources.find(key));
    const ids = await this.#references.check(key.tenant, { type: key.type, id: key.id }, order.uploads);
    const resource = await this.#decide(key, ids, order, allow);
    await this.#linking.apply(resource, { late: false });
    return { ...(await this.#withUploads(resource)), created: resource.revision === 1 };
  }

  /** Throws `not_found`. */
  async get(key: ResourceKey): Promise<LinkedResource> {
    return this.#withUploads(existing(await this.#parts.resources.find(key)));
  }

  /** Unlinks all uploads, which stay, and forgets the resource. Throws `not_found`, whatever `allow` throws, `conflict`. */
  async remove(key: ResourceKey, allow: Precondition): Promise<void> {
    // Emptied first: a crash between the two leaves a resource without uploads, never uploads without their resource.
    const emptied = await this.#decide(key, [], NO_ORDER, (current) => allow(existing(current)));
    await this.#linking.apply(emptied, { late: false });
    // Where this fails somebody has made it again meanwhile.
    await this.#parts.resources.remove(key, emptied.revision);
  }

  /** For the reconciler: writes the links that a crash has left unwritten. */
  finishIntent(resource: Resource): Promise<void> {
    return this.#linking.apply(resource, { late: true });
  }

  /** Records which uploads the resource shall have; from then on it will, whatever happens to this process. */
  async #decide(key: ResourceKey, uploads: string[], order: ResourceOrder, allow: Precondition): Promise<Resource> {
    const { resources, clock } = this.#parts;
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const current = await resources.find(key);
      allow(current);
      const intent = intentOf(current, uploads);
      if (current && intent.previous.length > MAX_PREVIOUS) {
        await this.finishIntent(current);
        continue;
      }
      const now = clock();
      const attributes = order.attributes ?? current?.attributes ?? {};
      const createdAt = current?.createdAt ?? now;
      const next: Resource = { ...key, attributes, revision: intent.revision, intent, createdAt, updatedAt: now };
      if (await resources.replace(next, intent.revision - 1)) return next;
    }
    throw new WindlassError('conflict', 'The resource is being changed by others; try again.', { retryAfter: 1 });
  }

  async #withUploads(resource: Resource): Promise<LinkedResource> {
    return { resource, uploads: await this.#linking.linked(resource, MAX_LISTED) };
  }
}

function intentOf(current: Resource | null, uploads: string[]): LinkIntent {
  const unfinished = current?.intent ? [...current.intent.uploads, ...current.intent.previous] : [];
  const named = new Set(uploads);
  const previous = [...new Set(unfinished)].filter((id) => !named.has(id));
  return { revision: (current?.revision ?? 0) + 1, uploads, previous };
}

function existing(resource: Resource | null): Resource {
  if (resource) return resource;
  throw new WindlassError('not_found', 'There is no such resource.');
}
