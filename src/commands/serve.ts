import { createServer } from 'node:http';
import { Api } from '../api.ts';
import { type Assembly, assemble } from '../assembly.ts';
import type { Config } from '../config.ts';
import { Gauges } from '../gauges.ts';
import { handOver } from '../hand-over.ts';
import { createOpsServer, type Health } from '../http/ops.ts';
import { listen } from '../http/server.ts';
import { createLogger } from '../logger.ts';
import { createMetrics, type MetricsOptions } from '../metrics.ts';
import type { Platform } from '../platform.ts';
import { Provisioning } from '../provisioning.ts';
import { leave } from '../rebalance/drain.ts';
import { Registration } from '../registration.ts';
import { stopOnSignals } from '../shutdown.ts';
import { TokenFile } from '../tokens.ts';
import { VERSION } from '../version.ts';
import { wire } from '../wire.ts';

/** What a process does: takes requests, carries out jobs, or both. */
export interface Roles {
  api: boolean;
  worker: boolean;
}

export const EVERYTHING: Roles = { api: true, worker: true };

/**
 * Runs until it is told to stop. `decorate` may put something between the ports and what uses them: the tests that kill
 * the process at every step do.
 */
export async function serve(config: Config, roles = EVERYTHING, decorate = (platform: Platform): Platform => platform): Promise<void> {
  const log = createLogger(config.LOG_LEVEL, 'windlass');
  const metrics = createMetrics(VERSION, metricsOptions(config, roles));
  const tokens = roles.api && config.TOKENS_FILE ? new TokenFile(config.TOKENS_FILE, log) : null;
  const port = config.PORT === 0 && roles.api ? await freePort(config.HOST) : config.PORT;
  const publicUrl = config.PUBLIC_URL ?? `http://localhost:${port}`;
  const health: Health = { started: false, ready: false };

  const wired = await wire({ config, log, metrics, publicUrl, patient: true, listening: roles.api });
  const provisioning = new Provisioning({ provision: wired.provision, log });
  // Workers leave it to servers, which know by what address pages are served.
  if (roles.api) await provisioning.start();
  const assembly = assemble(decorate(wired.platform));
  const { storeEndpoint, internalEndpoint } = wired;
  const api = roles.api ? new Api({ assembly, storeEndpoint, internalEndpoint, tokens, publicUrl, port, version: VERSION }) : null;
  const registration = new Registration(wired.platform, config.NODE_URL ?? `http://localhost:${port}`);
  const gauges = new Gauges(wired.platform, { servesApi: roles.api });
  const ops = createOpsServer({ health, registry: metrics.registry, refresh: () => gauges.refresh(), log });
  const opsPort = await listen(ops, config.OPS_PORT, config.HOST);
  if (roles.worker) await assembly.worker.start();
  assembly.dispatcher.start();
  if (api) {
    assembly.reconciler.start();
    assembly.rebalancer.start();
    await api.start();
    await registration.start();
  }
  stopOnSignals(log, async () => {
    health.ready = false;
    metrics.draining.set(1);
    api?.drain();
    registration.stop();
    provisioning.stop();
    await new Promise((resolve) => setTimeout(resolve, config.SHUTDOWN_DELAY_SECONDS * 1000));
    await finish(assembly, roles, api);
    if (api) await leaveWhenDrained(wired.platform);
    tokens?.close();
    await wired.close();
    ops.close();
    ops.closeAllConnections();
  });
  // What starting has left behind would take room beside the uploads.
  globalThis.gc?.();
  health.started = health.ready = true;
  const about = { ...(api ? { port, publicUrl } : {}), opsPort, roles, node: config.NODE_NAME, version: VERSION, dataDir: config.DATA_DIR };
  log.info(about, `ready at ${api ? publicUrl : 'the queue'}`);
}

function metricsOptions(config: Config, { api, worker }: Roles): MetricsOptions {
  const tenants = config.METRICS_TENANT_LABEL ? { max: config.METRICS_MAX_TENANTS } : null;
  return { role: api && worker ? 'all' : api ? 'api' : 'relay', tenants };
}

/** A database that does not answer now is no reason to wait: `windlass drain` can be repeated. */
async function leaveWhenDrained({ uploads, nodes, config, log }: Platform): Promise<void> {
  const left = await leave({ uploads, nodes }, config.NODE_NAME).catch(() => false);
  if (left) log.info({ node: config.NODE_NAME }, 'this server was drained and is no longer known');
}

/** Lets what is under way come to its end, within SHUTDOWN_GRACE_SECONDS where it could take longer. */
async function finish(
  { platform, worker, reconciler, rebalancer, completion, dispatcher }: Assembly,
  roles: Roles,
  api: Api | null,
): Promise<void> {
  const { SHUTDOWN_GRACE_SECONDS, SHUTDOWN_HANDOVER_SECONDS, SPOOL_SHARED } = platform.config;
  const graceMs = SHUTDOWN_GRACE_SECONDS * 1000;
  // Nobody has to come for a spool that others reach without this server, or that it empties itself.
  const alone = !roles.worker && !SPOOL_SHARED && SHUTDOWN_HANDOVER_SECONDS > 0;
  const handingOver = async (): Promise<unknown> => (alone ? handOver(platform, { ms: SHUTDOWN_HANDOVER_SECONDS * 1000 }) : null);
  await Promise.all([api?.stop(graceMs, handingOver), worker.stop(graceMs), reconciler.stop(), rebalancer.stop()]);
  await completion.drain();
  await dispatcher.stop();
}

/** A port that is free right now, for PORT=0: links are signed for an address, so it must be known before the server is built. */
async function freePort(host: string): Promise<number> {
  const probe = createServer();
  const port = await listen(probe, 0, host);
  await new Promise((resolve) => probe.close(resolve));
  return port;
}
