/** Sizes, rates and times of the test of rollouts: its own, or those that the environment names. */
const { env } = process;

const number = (name: string, fallback: number): number => {
  const value = Number(env[name] ?? fallback);
  if (!Number.isFinite(value) || value < 0) throw new Error(`${name} must be a number`);
  return value;
};

const slowBytes = env.TEST_ROLLOUT_SLOW_BYTES;
const slowSeconds = env.TEST_ROLLOUT_SLOW_SECONDS;

/** The lanes of uploads that are under way while things change: a direct one and a relayed one. */
const slow = [
  { strategy: 'direct', bytes: Number(slowBytes ?? 2_000_000), seconds: Number(slowSeconds ?? 11) },
  { strategy: 'relay', bytes: Number(slowBytes ?? 800_000), seconds: Number(slowSeconds ?? 16) },
];
const longestSeconds = Math.max(...slow.map(({ seconds }) => seconds));

export const ROLLOUT = {
  /** Servers. */
  replicas: number('TEST_ROLLOUT_REPLICAS', 2),
  load: {
    /** Bytes of the quick uploads, in turn. */
    sizes: (env.TEST_ROLLOUT_SIZES ?? '1,700,60000,400000,3145728').split(',').map(Number),
    /** Milliseconds between two of a lane. */
    paceMs: number('TEST_ROLLOUT_PACE_MS', 700),
    slow,
  },
  /** Seconds, as in `api.shutdown`: room for the slowest upload, and some for a busy machine. */
  graceSeconds: number('TEST_ROLLOUT_GRACE_SECONDS', 2 * longestSeconds),
  handOverSeconds: number('TEST_ROLLOUT_HANDOVER_SECONDS', 120),
  /** Null for the chart's default. */
  terminationSeconds: env.TEST_ROLLOUT_TERMINATION_SECONDS ?? 'null',
  /** Milliseconds within which each lane has ended an upload, begun at any time. */
  patienceMs: 90_000 + 2000 * longestSeconds,
};
