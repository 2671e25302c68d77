import { amend, type Now, type ResourceRef, type Upload, type UploadChange, type UploadState } from '../core/upload.ts';
import { WindlassError } from '../errors.ts';
import type { Ledger } from '../ledger.ts';
import type { Platform } from '../platform.ts';
import type { LinkIntent, Resource, ResourceKey } from '../ports/resource-repository.ts';
import { sameResource } from './conclusion.ts';

type LinkingParts = Pick<Platform, 'uploads' | 'resources'> & { ledger: Ledger };

/** A resource with an intent that is to be carried out. */
interface Plan {
  resource: Resource;
  ref: ResourceRef;
  intent: LinkIntent;
  named: ReadonlySet<string>;
  previous: ReadonlySet<string>;
  /** Carried out after whoever decided on it has gone: what was linked elsewhere since then stays there. */
  late: boolean;
}

const PAGE = 500;
const ROUNDS = 20;
const AT_ONCE = 50;
/** What is not accepted yet is not linked yet: a presigned upload is linked to its resource by its completion. */
const LINKED: ReadonlySet<UploadState> = new Set(['queued', 'relaying', 'stored']);

/**
 * Writes links to the uploads, each record by itself, in an order that makes a stale writer harmless: first the uploads
 * are read, then the resource (does it still want this?), then each upload is changed if it still has the version read.
 * A newer intent changes every upload that an older, unfinished one names (if only its version), and an intent is settled
 * only when all its changes have gone through; so whoever comes late with an older one either sees that the resource has
 * moved on, or fails on the version. Everything can be done twice and by several at once.
 */
export class Linking {
  readonly #parts: LinkingParts;

  constructor(parts: LinkingParts) {
    this.#parts = parts;
  }

  /** Carries out the intent that `resource` carries, unless it is settled or a newer one has taken its place. Throws `conflict`. */
  async apply(resource: Resource, { late }: { late: boolean }): Promise<void> {
    const { intent, type, id } = resource;
    if (!intent) return;
    const named = new Set(intent.uploads);
    const plan: Plan = { resource, ref: { type, id }, intent, named, previous: new Set(intent.previous), late };
    for (let round = 0; round < ROUNDS; round += 1) {
      const uploads = await this.#concerned(plan);
      if (!(await this.#isWanted(plan))) return;
      if (await this.#change(plan, uploads)) return this.#parts.resources.settle(resource, intent.revision);
    }
    throw new WindlassError('conflict', 'The uploads are being changed by others; try again.', { retryAfter: 1 });
  }

  /** Uploads linked to a resource, newest first, at most `limit`. */
  async linked(key: ResourceKey, limit: number): Promise<Upload[]> {
    const found: Upload[] = [];
    for await (const upload of this.#all(key)) if (found.push(upload) === limit) break;
    return found;
  }

  async *#all({ tenant, type, id }: ResourceKey): AsyncGenerator<Upload> {
    for (let before: string | undefined; ; ) {
      const page = await this.#parts.uploads.list({ tenant, resource: { type, id }, before, limit: PAGE });
      yield* page.filter(({ state }) => LINKED.has(state));
      before = page.at(-1)?.id;
      if (page.length < PAGE) return;
    }
  }

  async #concerned(plan: Plan): Promise<Upload[]> {
    const uploads = new Map<string, Upload>();
    for await (const upload of this.#all(plan.resource)) uploads.set(upload.id, upload);
    const others = [...plan.named, ...plan.previous].filter((id) => !uploads.has(id));
    if (others.length > 0) for (const upload of await this.#parts.uploads.findMany(others)) uploads.set(upload.id, upload);
    return [...uploads.values()];
  }

  /** A resource that was deleted and made again counts its revisions anew, so its birth is compared too. */
  async #isWanted({ resource, intent }: Plan): Promise<boolean> {
    const current = await this.#parts.resources.find(resource);
    return current?.intent?.revision === intent.revision && current.createdAt === resource.createdAt;
  }

  /** True when every change has gone through. */
  async #change(plan: Plan, uploads: readonly Upload[]): Promise<boolean> {
    const { ledger } = this.#parts;
    const now = ledger.now();
    const changes = uploads.flatMap((upload) => {
      const change = decide(plan, upload, now);
      return change ? [{ upload, change }] : [];
    });
    let complete = true;
    for (let from = 0; from < changes.length; from += AT_ONCE) {
      const batch = changes.slice(from, from + AT_ONCE);
      const changed = await Promise.all(batch.map(({ upload, change }) => ledger.apply(upload, change)));
      complete &&= changed.every((upload) => upload !== null);
    }
    return complete;
  }
}

function decide({ resource, ref, intent, named, previous, late }: Plan, upload: Upload, now: Now): UploadChange | null {
  if (upload.tenant !== resource.tenant || !LINKED.has(upload.state)) return null;
  const ours = sameResource(upload.resource, ref);
  const untouched = (): UploadChange => amend(upload, {}, now);
  if (named.has(upload.id)) {
    if (ours && upload.resourceRevision === intent.revision) return null;
    if (late && upload.resource && !ours && upload.updatedAt > resource.updatedAt) return untouched();
    return amend(upload, { resource: ref, resourceRevision: intent.revision }, now);
  }
  if (ours && upload.resourceRevision < intent.revision) return amend(upload, { resource: null, resourceRevision: intent.revision }, now);
  return previous.has(upload.id) ? untouched() : null;
}
