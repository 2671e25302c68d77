import { createServer } from 'node:http';
import { Api } from '../api.ts';
import { assemble } from '../assembly.ts';
import type { Config } from '../config.ts';
import { refreshGauges } from '../gauges.ts';
import { createOpsServer, type Health } from '../http/ops.ts';
import { listen } from '../http/server.ts';
import { createLogger } from '../logger.ts';
import { createMetrics } from '../metrics.ts';
import type { Platform } from '../platform.ts';
import { stopOnSignals } from '../shutdown.ts';
import { TokenFile } from '../tokens.ts';
import { VERSION } from '../version.ts';
import { wire } from '../wire.ts';

/**
 * Runs API and worker in one process until it is told to stop. `decorate` may put something between the ports and what
 * uses them: the tests that kill the process at every step do.
 */
export async function serve(config: Config, decorate = (platform: Platform): Platform => platform): Promise<void> {
  const log = createLogger(config.LOG_LEVEL, 'windlass');
  const metrics = createMetrics(VERSION);
  const tokens = config.TOKENS_FILE ? new TokenFile(config.TOKENS_FILE, log) : null;
  const port = config.PORT === 0 ? await freePort(config.HOST) : config.PORT;
  const publicUrl = config.PUBLIC_URL ?? `http://localhost:${port}`;
  const health: Health = { started: false, ready: false };

  const { platform, storeEndpoint, close } = await wire({ config, log, metrics, publicUrl });
  const assembly = assemble(decorate(platform));
  const api = new Api({ assembly, storeEndpoint, tokens, publicUrl, port, version: VERSION });
  const ops = createOpsServer(health, metrics.registry, () => refreshGauges(platform));
  const opsPort = await listen(ops, config.OPS_PORT, config.HOST);
  await assembly.worker.start();
  assembly.dispatcher.start();
  assembly.reconciler.start();
  await api.start();
  health.started = health.ready = true;
  log.info({ port, opsPort, publicUrl, version: VERSION, dataDir: config.DATA_DIR }, `ready at ${publicUrl}`);

  stopOnSignals(log, async () => {
    health.ready = false;
    metrics.draining.set(1);
    api.drain();
    await new Promise((resolve) => setTimeout(resolve, config.SHUTDOWN_DELAY_SECONDS * 1000));
    const grace = config.SHUTDOWN_GRACE_SECONDS * 1000;
    await Promise.all([api.stop(grace), assembly.worker.stop(grace), assembly.reconciler.stop()]);
    await assembly.completion.drain();
    await assembly.dispatcher.stop();
    tokens?.close();
    await close();
    ops.close();
    ops.closeAllConnections();
  });
}

/** A port that is free right now, for PORT=0: links are signed for an address, so it must be known before the server is built. */
async function freePort(host: string): Promise<number> {
  const probe = createServer();
  const port = await listen(probe, 0, host);
  await new Promise((resolve) => probe.close(resolve));
  return port;
}
