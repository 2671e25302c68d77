import type { Logger } from 'pino';
import { RabbitConnection } from './connection.ts';
import { unavailable } from './unavailable.ts';

export interface RabbitOptions {
  /** amqp:// or amqps://, with user and password; never logged. */
  url: string;
  log: Logger;
  /** Opens although the broker is away, and connects when it comes. */
  patient?: boolean;
  /** Told when the broker has gone away or come back (also when it takes no messages because of an alarm). */
  onState?: (up: boolean) => void;
}

/**
 * The connections of this process. Two, because a broker that is short of memory stops reading from those who publish:
 * acknowledgements of finished jobs, and whatever is asked of it, must not wait behind that.
 */
export interface Rabbit {
  readonly patient: boolean;
  readonly publishing: RabbitConnection;
  readonly consuming: RabbitConnection;
  close(): Promise<void>;
}

/** Throws `queue_unavailable` within seconds when the broker cannot be reached; afterwards losses mend themselves. */
export async function openRabbit({ url, log, patient = false, onState }: RabbitOptions): Promise<Rabbit> {
  const parsed = parseUrl(url);
  const state = new State(onState);
  const open = async (purpose: 'publishing' | 'consuming'): Promise<RabbitConnection> => {
    const connection = await RabbitConnection.open({ url: parsed, purpose, log, patient, onChange: () => state.look() });
    state.add(connection);
    return connection;
  };
  // Both at once: each may take seconds to find out that nobody answers.
  const [publishing, consuming] = await Promise.allSettled([open('publishing'), open('consuming')]);
  if (publishing.status === 'fulfilled' && consuming.status === 'fulfilled') return together(patient, publishing.value, consuming.value);
  const causes: unknown[] = [];
  for (const one of [publishing, consuming]) {
    if (one.status === 'fulfilled') await one.value.close();
    else causes.push(one.reason);
  }
  throw unavailable(`RabbitMQ at ${parsed.host} cannot be reached: ${reasonOf(causes[0])}.`, causes[0]);
}

const together = (patient: boolean, publishing: RabbitConnection, consuming: RabbitConnection): Rabbit => ({
  patient,
  publishing,
  consuming,
  close: async () => void (await Promise.all([publishing.close(), consuming.close()])),
});

/** The text itself stays out of the error: it holds a password. */
function parseUrl(text: string): URL {
  const url = URL.parse(text);
  if (url?.protocol === 'amqp:' || url?.protocol === 'amqps:') return url;
  throw unavailable('The address of RabbitMQ is not an amqp:// or amqps:// address.');
}

function reasonOf(error: unknown): string {
  const { cause } = error as { cause?: unknown };
  const { message, code } = (cause ?? error) as { message?: string; code?: string };
  return (message || code || 'no answer').replace(/^queue_unavailable: /, '').replace(/\.$/, '');
}

/** One answer from two connections, told only when it changes. */
class State {
  readonly #connections: RabbitConnection[] = [];
  readonly #onState: ((up: boolean) => void) | undefined;
  #up = false;

  constructor(onState: ((up: boolean) => void) | undefined) {
    this.#onState = onState;
  }

  add(connection: RabbitConnection): void {
    this.#connections.push(connection);
    this.look();
  }

  look(): void {
    const up = this.#connections.length === 2 && this.#connections.every((connection) => connection.up && !connection.blocked);
    if (up === this.#up) return;
    this.#up = up;
    this.#onState?.(up);
  }
}
