import { EVERYTHING, serve } from '../../src/commands/serve.ts';
import { processEnvironment, readConfig } from '../../src/config.ts';
import { type ErrorCode, WindlassError } from '../../src/errors.ts';
import type { Platform, Ports } from '../../src/platform.ts';
import type { Disk, DiskFile } from '../../src/ports/disk.ts';
import type { JobQueue } from '../../src/ports/job-queue.ts';

/**
 * The real server, which kills itself with SIGKILL right before or after one call of one method of one port. CRASH_AT
 * says which: `PORT.METHOD[:WHAT] before|after NTH`, such as `uploads.apply:stored before 2`. FAIL_AT makes calls fail
 * first: `PORT.METHOD CODE COUNT`, such as `store.put store_unavailable 1`.
 */
interface CrashPoint {
  port: keyof Ports;
  method: string;
  what: string | undefined;
  when: 'before' | 'after';
}

type Around = (call: () => Promise<unknown>) => Promise<unknown>;
type Call = (...args: unknown[]) => Promise<unknown>;

function parse(text: string): CrashPoint & { nth: number } {
  const match = /^(\w+)\.(\w+)(?::([\w-]+))? (before|after) (\d+)$/.exec(text);
  if (!match) throw new Error(`CRASH_AT is not a point: ${text}`);
  const [, port, method = '', what, when, nth] = match;
  return { port: port as keyof Ports, method, what, when: when as CrashPoint['when'], nth: Number(nth) };
}

function crashing(platform: Platform, { port, method, what, when, nth }: CrashPoint & { nth: number }): Platform {
  let calls = 0;
  const around = async (call: () => Promise<unknown>): Promise<unknown> => {
    calls += 1;
    if (calls !== nth) return call();
    if (when === 'before') die();
    await call();
    return die();
  };
  return ownDisks({ ...platform, [port]: intercepted(platform[port], { method, what }, around) });
}

/** Whoever asks for a server's disk by name gets the one that stands in the platform. */
const ownDisks = (platform: Platform): Platform => ({
  ...platform,
  disks: { spoolOf: () => platform.spool, directOf: () => platform.direct },
});

/** The port with one method intercepted; the others are called as they are (private fields need the real object). */
function intercepted<T extends object>(target: T, point: Pick<CrashPoint, 'method' | 'what'>, around: Around): T {
  return new Proxy(target, {
    get(object, property) {
      const member: unknown = Reflect.get(object, property, object);
      if (typeof member !== 'function') return member;
      const bound = member.bind(object) as Call;
      if (point.method === 'commit' && property === 'create') return withCommit(bound as unknown as Disk['create'], around);
      if (point.method === 'handled' && property === 'consume') return withHandler(bound as unknown as JobQueue['consume'], around);
      if (property !== point.method) return bound;
      return (...args: unknown[]) =>
        point.what === undefined || describes(point.what, args) ? around(() => bound(...args)) : bound(...args);
    },
  });
}

/** Whether a call is the one that `what` means: of a change its state (`amend` for none), of a record its strategy, of a job its kind. */
function describes(what: string, [subject]: unknown[]): boolean {
  const { set, strategy, kind } = subject as { set?: { state?: string }; strategy?: string; kind?: string };
  return what === (set ? (set.state ?? 'amend') : (strategy ?? kind));
}

const withCommit =
  (create: Disk['create'], around: Around): Disk['create'] =>
  async (key, expectedSize) => {
    const file = await create(key, expectedSize);
    return committing(file, around);
  };

const committing = (file: DiskFile, around: Around): DiskFile => ({
  key: file.key,
  get size() {
    return file.size;
  },
  write: (chunks) => file.write(chunks),
  commit: () => around(() => file.commit()) as Promise<void>,
  discard: () => file.discard(),
});

/** Between the end of a job and its settlement. */
const withHandler =
  (consume: JobQueue['consume'], around: Around): JobQueue['consume'] =>
  (handler, concurrency) =>
    consume((delivery) => around(() => handler(delivery)) as ReturnType<typeof handler>, concurrency);

function die(): never {
  process.kill(process.pid, 'SIGKILL');
  throw new Error('SIGKILL did not come');
}

/** The first calls of one method fail, as they do while a dependency is away. */
function failing(platform: Platform, text: string): Platform {
  const match = /^(\w+)\.(\w+) (\w+) (\d+)$/.exec(text);
  if (!match) throw new Error(`FAIL_AT is not a failure: ${text}`);
  const [, port, method = '', code, count] = match;
  let left = Number(count);
  const around: Around = (call) => {
    left -= 1;
    return left >= 0 ? Promise.reject(new WindlassError(code as ErrorCode, 'made to fail')) : call();
  };
  return { ...platform, [port as keyof Ports]: intercepted(platform[port as keyof Ports], { method, what: undefined }, around) };
}

const { CRASH_AT, FAIL_AT } = process.env;
await serve(readConfig(processEnvironment()), EVERYTHING, (platform) => {
  const weak = FAIL_AT ? failing(platform, FAIL_AT) : platform;
  return CRASH_AT ? crashing(weak, parse(CRASH_AT)) : weak;
});
