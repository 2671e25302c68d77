import type { Upload, UploadChange } from '../../src/core/upload.ts';
import type { Resource, ResourceKey, ResourceRepository } from '../../src/ports/resource-repository.ts';
import type { UploadFilter, UploadRepository } from '../../src/ports/upload-repository.ts';

type Gate = () => Promise<void>;

/** Records in memory: each call is one atomic step between two gates, so that a test decides which call comes when. */
export class MemoryRecords {
  readonly uploads = new Map<string, Upload>();
  readonly resources = new Map<string, Resource>();
  /** Every intent that was ever decided on, in that order. */
  readonly decided: Resource[] = [];

  uploadsFor(gate: Gate): Pick<UploadRepository, 'find' | 'findMany' | 'apply' | 'list'> {
    const step = stepOf(gate);
    return {
      find: (id) => step(() => this.uploads.get(id) ?? null),
      findMany: (ids) => step(() => ids.flatMap((id) => this.uploads.get(id) ?? [])),
      apply: (change) => step(() => this.#apply(change)),
      list: (filter) => step(() => this.#list(filter)),
    };
  }

  resourcesFor(gate: Gate): ResourceRepository {
    const step = stepOf(gate);
    return {
      find: (key) => step(() => this.resources.get(nameOf(key)) ?? null),
      touch: (key, now) => step(() => this.#touch(key, now)),
      replace: (next, expected) => step(() => this.#replace(next, expected)),
      settle: (key, revision) =>
        step(() => {
          const current = this.resources.get(nameOf(key));
          if (current?.intent?.revision === revision) this.resources.set(nameOf(key), { ...current, intent: null });
        }),
      remove: (key, revision) => step(() => this.resources.get(nameOf(key))?.revision === revision && this.resources.delete(nameOf(key))),
      unsettled: (_, limit) => step(() => [...this.resources.values()].filter(({ intent }) => intent).slice(0, limit)),
    };
  }

  #apply({ id, version, set }: UploadChange): Upload | null {
    const current = this.uploads.get(id);
    if (current?.version !== version) return null;
    const changed = { ...current, ...set, version: version + 1 };
    this.uploads.set(id, changed);
    return changed;
  }

  #list({ resource, before, limit }: UploadFilter): Upload[] {
    return [...this.uploads.values()]
      .filter((upload) => upload.resource?.type === resource?.type && upload.resource?.id === resource?.id)
      .filter(({ id }) => before === undefined || id < before)
      .sort((a, b) => (a.id < b.id ? 1 : -1))
      .slice(0, limit);
  }

  #touch(key: ResourceKey, now: number): Resource {
    const current = this.resources.get(nameOf(key)) ?? { ...key, attributes: {}, revision: 0, intent: null, createdAt: now };
    const next = { ...current, revision: current.revision + 1, updatedAt: now };
    this.resources.set(nameOf(key), next);
    return next;
  }

  #replace(next: Resource, expected: number): boolean {
    if ((this.resources.get(nameOf(next))?.revision ?? 0) !== expected) return false;
    this.resources.set(nameOf(next), next);
    this.decided.push(next);
    return true;
  }
}

const nameOf = ({ tenant, type, id }: ResourceKey): string => `${tenant} ${type} ${id}`;

const stepOf =
  (gate: Gate) =>
  async <T>(operation: () => T): Promise<T> => {
    await gate();
    const result = operation();
    await gate();
    return result;
  };
