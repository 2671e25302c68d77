import { type Assembly, assemble } from '../assembly.ts';
import { processEnvironment, readConfig } from '../config.ts';
import { createLogger } from '../logger.ts';
import { createMetrics } from '../metrics.ts';
import { VERSION } from '../version.ts';
import { type Parts, partsOf, type Wired, type WireOptions, wire } from '../wire.ts';

export interface OpenPlatform extends Assembly {
  close: Wired['close'];
}

/** What a command works with: the same parts as the server's, by the same settings. */
export async function openCommandPlatform(): Promise<OpenPlatform> {
  const { platform, close } = await wire(commandOptions());
  const assembly = assemble(platform);
  return {
    ...assembly,
    async close() {
      await assembly.dispatcher.stop();
      await close();
    },
  };
}

/** The same parts, none of them opened yet: for commands that go on where one cannot be opened. */
export const commandParts = (): Parts => partsOf(commandOptions());

/** Logs go to stderr, output to stdout. */
function commandOptions(): WireOptions {
  const config = readConfig(processEnvironment());
  return {
    config,
    log: createLogger(config.LOG_LEVEL === 'info' ? 'warn' : config.LOG_LEVEL, 'windlass-cli', 2),
    metrics: createMetrics(VERSION),
    patient: false,
    listening: false,
    publicUrl: config.PUBLIC_URL ?? `http://localhost:${config.PORT}`,
  };
}
