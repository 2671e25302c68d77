import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, InvalidArgumentError } from 'commander';
import { ApiClient } from '../client/api-client.ts';
import type { RetryTerms } from '../client/retry.ts';
import { type ClientConfig, processEnvironment, readClientConfig } from '../config.ts';
import { isUploadId } from '../core/keys.ts';

/** Options of every command that talks to a server. */
export interface ClientOptions {
  url?: string;
  tokenFile?: string;
}

/** A token is never an argument: those show in the list of processes. */
export function addClientOptions(command: Command): Command {
  return command
    .option('--url <url>', 'the server (default: WINDLASS_URL, else http://localhost:8080)')
    .option('--token-file <file>', 'file that holds the token (default: WINDLASS_TOKEN_FILE, else the token in WINDLASS_TOKEN)');
}

/** The settings with the options put in their place. Throws ConfigError. */
export function clientConfig({ url, tokenFile }: ClientOptions): ClientConfig {
  const environment = processEnvironment();
  return readClientConfig({
    ...environment,
    ...(url === undefined ? {} : { WINDLASS_URL: url }),
    ...(tokenFile === undefined ? {} : { WINDLASS_TOKEN: undefined, WINDLASS_TOKEN_FILE: tokenFile }),
  });
}

export function apiClient({ WINDLASS_URL, WINDLASS_TOKEN }: ClientConfig, onRetry?: RetryTerms['onRetry']): ApiClient {
  return new ApiClient({ url: WINDLASS_URL, token: WINDLASS_TOKEN, onRetry, sleep, random: Math.random });
}

/** Opens a client for one command and closes it when that is over. */
export async function withClient<T>(options: ClientOptions, run: (client: ApiClient) => Promise<T>): Promise<T> {
  const client = apiClient(clientConfig(options));
  try {
    return await run(client);
  } finally {
    client.close();
  }
}

export function uploadId(text: string): string {
  if (!isUploadId(text))
    throw new InvalidArgumentError('It is not the id of an upload, which looks like 01993e6c-7d1e-7c3a-9b0a-3f5d2c1b0a99.');
  return text;
}

const NAME = '[A-Za-z0-9][A-Za-z0-9._~-]{0,127}';
const RESOURCE = new RegExp(`^(${NAME})/(${NAME})$`);

export function resource(text: string): { type: string; id: string } {
  const [, type, id] = RESOURCE.exec(text) ?? [];
  if (!type || !id) throw new InvalidArgumentError('It takes TYPE/ID, such as post/42: letters, digits and . _ ~ - in each.');
  return { type, id };
}

export const wholeNumber =
  (min: number, max: number) =>
  (text: string): number => {
    const number = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (!(number >= min && number <= max)) throw new InvalidArgumentError(`It takes a whole number from ${min} to ${max}.`);
    return number;
  };
