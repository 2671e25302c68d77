import { codeOf } from './errors.ts';
import { STORE_OPERATIONS } from './metrics.ts';
import type { Ports } from './platform.ts';
import type { ObjectStore } from './ports/object-store.ts';
import type { Span, SpanOptions, Tracing } from './ports/tracing.ts';
import type { UploadRepository } from './ports/upload-repository.ts';

/** Carries out `work` in a span of its own, which fails as it does. */
export async function inSpan<T>(tracing: Tracing, name: string, options: SpanOptions, work: (span: Span) => Promise<T>): Promise<T> {
  const span = tracing.start(name, options);
  try {
    return await span.run(() => work(span));
  } catch (error) {
    span.fail(codeOf(error) ?? 'internal');
    throw error;
  } finally {
    span.end();
  }
}

const REPOSITORY_OPERATIONS = [
  'insert',
  'find',
  'findMany',
  'apply',
  'removeMessages',
  'list',
  'purge',
] as const satisfies (keyof UploadRepository)[];

/** The ports whose calls show in traces; the same objects where nothing is traced. */
export function tracedPorts<P extends Pick<Ports, 'uploads' | 'store'>>(
  ports: P,
  tracing: Tracing,
  { database }: { database: 'mongodb' | 'sqlite' },
): P {
  if (!tracing.enabled) return ports;
  return {
    ...ports,
    uploads: traced(ports.uploads, REPOSITORY_OPERATIONS, tracing, (operation) => ({
      name: `uploads.${operation}`,
      attributes: { 'db.system.name': database, 'db.operation.name': operation },
    })),
    store: traced(ports.store, STORE_OPERATIONS, tracing, (operation) => ({
      name: `store.${operation}`,
      attributes: { 'windlass.store.operation': operation, ...bucketOf(ports.store) },
    })),
  };
}

const bucketOf = ({ name, bucket }: ObjectStore): { 'aws.s3.bucket'?: string } => (name === 's3' ? { 'aws.s3.bucket': bucket } : {});

function traced<T extends object>(
  port: T,
  operations: readonly (keyof T & string)[],
  tracing: Tracing,
  describe: (operation: string) => { name: string } & Pick<SpanOptions, 'attributes'>,
): T {
  const methods = new Set<PropertyKey>(operations);
  return new Proxy(port, {
    get(target, property) {
      const member: unknown = Reflect.get(target, property, target);
      if (typeof member !== 'function') return member;
      const bound = member.bind(target) as (...args: unknown[]) => Promise<unknown>;
      if (!methods.has(property)) return bound;
      const { name, ...options } = describe(String(property));
      return (...args: unknown[]) => inSpan(tracing, name, { ...options, kind: 'client' }, () => bound(...args));
    },
  });
}
