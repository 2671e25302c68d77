import { type Assembly, assemble } from '../assembly.ts';
import { processEnvironment, readConfig } from '../config.ts';
import { createLogger } from '../logger.ts';
import { createMetrics } from '../metrics.ts';
import { VERSION } from '../version.ts';
import { type Wired, wire } from '../wire.ts';

export interface OpenPlatform extends Assembly {
  provision: Wired['provision'];
  close(): Promise<void>;
}

/** What a command works with: the same parts as the server's, by the same settings. Logs go to stderr, output to stdout. */
export async function openCommandPlatform(): Promise<OpenPlatform> {
  const config = readConfig(processEnvironment());
  const log = createLogger(config.LOG_LEVEL === 'info' ? 'warn' : config.LOG_LEVEL, 'windlass-cli', 2);
  const { platform, provision, close } = await wire({
    config,
    log,
    metrics: createMetrics(VERSION),
    patient: false,
    publicUrl: config.PUBLIC_URL ?? `http://localhost:${config.PORT}`,
  });
  const assembly = assemble(platform);
  return {
    ...assembly,
    provision,
    async close() {
      await assembly.dispatcher.stop();
      await close();
    },
  };
}
