import { codeOf } from './errors.ts';
import { type Metrics, PUT_SMALL, SMALL_PUT_BYTES, STORE_OPERATIONS } from './metrics.ts';
import type { ObjectSource, ObjectStore } from './ports/object-store.ts';

/** The same store, with each call's time and outcome measured. Listings are streams of many calls and are left out. */
export function observedStore(
  store: ObjectStore,
  { storeRequestDuration, dependencyUp }: Pick<Metrics, 'storeRequestDuration' | 'dependencyUp'>,
): ObjectStore {
  const measured = new Set<PropertyKey>(STORE_OPERATIONS);
  return new Proxy(store, {
    get(target, property) {
      const member: unknown = Reflect.get(target, property, target);
      if (typeof member !== 'function') return member;
      const bound = member.bind(target);
      return measured.has(property) ? (...args: unknown[]) => timed(operationOf(property, args), () => bound(...args), args) : bound;
    },
  });

  async function timed(operation: string, call: () => Promise<unknown>, args: readonly unknown[]): Promise<unknown> {
    const stop = storeRequestDuration.startTimer({ operation });
    try {
      const result = await call();
      stop({ outcome: 'ok' });
      dependencyUp.set({ dependency: 'store' }, 1);
      return result;
    } catch (error) {
      const outcome = args.some(isAborted) ? 'aborted' : codeOf(error) === 'store_unavailable' ? 'unavailable' : 'error';
      stop({ outcome });
      if (outcome === 'unavailable') dependencyUp.set({ dependency: 'store' }, 0);
      throw error;
    }
  }
}

function operationOf(method: PropertyKey, [, source]: readonly unknown[]): string {
  return method === 'put' && (source as ObjectSource).size <= SMALL_PUT_BYTES ? PUT_SMALL : String(method);
}

/** Whether an argument is the signal by which the caller broke the call off. */
const isAborted = (argument: unknown): boolean => argument instanceof AbortSignal && argument.aborted;
