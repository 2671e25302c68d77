import { codeOf } from './errors.ts';
import type { Metrics } from './metrics.ts';
import type { ObjectStore } from './ports/object-store.ts';

const OPERATIONS = [
  'put',
  'head',
  'read',
  'freeze',
  'remove',
  'createMultipart',
  'listParts',
  'completeMultipart',
  'abortMultipart',
] as const;

/** The same store, with each call's time and outcome measured. Listings are streams of many calls and are left out. */
export function observedStore(
  store: ObjectStore,
  { storeRequestDuration, dependencyUp }: Pick<Metrics, 'storeRequestDuration' | 'dependencyUp'>,
): ObjectStore {
  for (const operation of OPERATIONS) for (const outcome of ['ok', 'error']) storeRequestDuration.zero({ operation, outcome });
  dependencyUp.set({ dependency: 'store' }, 1);
  const measured = new Set<PropertyKey>(OPERATIONS);
  return new Proxy(store, {
    get(target, property) {
      const member: unknown = Reflect.get(target, property, target);
      if (typeof member !== 'function') return member;
      const bound = member.bind(target);
      return measured.has(property) ? (...args: unknown[]) => timed(String(property), () => bound(...args)) : bound;
    },
  });

  async function timed(operation: string, call: () => Promise<unknown>): Promise<unknown> {
    const stop = storeRequestDuration.startTimer({ operation });
    try {
      const result = await call();
      stop({ outcome: 'ok' });
      dependencyUp.set({ dependency: 'store' }, 1);
      return result;
    } catch (error) {
      stop({ outcome: 'error' });
      if (codeOf(error) === 'store_unavailable') dependencyUp.set({ dependency: 'store' }, 0);
      throw error;
    }
  }
}
