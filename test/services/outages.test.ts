import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { ApiClient } from '../support/api-client.ts';
import { eventually } from '../support/eventually.ts';
import { Load } from '../support/load.ts';
import type { Outcome } from '../support/load-upload.ts';
import { RandomFile } from '../support/random-file.ts';
import type { RunningServer } from '../support/server.ts';
import { type Stack, startStack } from '../support/stack.ts';
import type { Toxic } from '../support/toxiproxy.ts';
import { type FragileServers, startFragileServers } from '../support/toxiproxy-servers.ts';
import { withServers } from './with-servers.ts';

const TIMEOUT_MS = 300_000;
const RECOVERY_MS = 120_000;

const SETTINGS = {
  RECONCILE_INTERVAL_SECONDS: '5',
  // Longer than any silence below: a write that nobody has an answer to may still come.
  ORPHAN_GRACE_SECONDS: '60',
  RETRY_BASE_SECONDS: '1',
  RETRY_MAX_SECONDS: '2',
  JOB_ATTEMPTS: '100',
};
/** What a client asks the platform itself for. */
const STEPS = ['direct', 'relay', 'presign', 'complete'] as const;
const SIGNED = ['direct', 'relay', 'presign'] as const;

const MIB = 1024 ** 2;
/** KB/s. */
const SLOW = { type: 'bandwidth', attributes: { rate: 100 } } as const;
const TOXICS: readonly [Toxic, 'upstream' | 'downstream'][] = [
  [{ type: 'reset_peer', attributes: { timeout: 200 } }, 'upstream'],
  [{ type: 'limit_data', attributes: { bytes: 20_000 } }, 'upstream'],
  [{ type: 'limit_data', attributes: { bytes: 5000 } }, 'downstream'],
  // Until it is cured.
  [{ type: 'timeout', attributes: { timeout: 0 } }, 'downstream'],
  [{ type: 'latency', attributes: { latency: 150, jitter: 100 } }, 'downstream'],
];

const statuses = (outcomes: readonly Outcome[]): number[] => [...new Set(outcomes.map(({ status }) => status))].sort();
const failures = (outcomes: readonly Outcome[]): Outcome[] => outcomes.filter(({ status }) => status < 200 || status > 299);

withServers(() => {
  describe('two servers and two workers under load', () => {
    let servers: FragileServers;
    let stack: Stack;
    let load: Load;
    beforeAll(async () => {
      servers = await startFragileServers();
    }, TIMEOUT_MS);
    afterAll(() => servers?.stop());
    /** Servers and workers with a load on them. */
    const begin = async (): Promise<void> => {
      stack = await startStack(servers.addresses, { settings: SETTINGS });
      load = new Load(
        stack.apis.map(({ url }) => url),
        'load',
      );
      load.start();
      await load.works();
    };
    afterEach(async () => {
      await servers?.heal();
      await load?.stop();
      await stack?.[Symbol.asyncDispose]();
    }, TIMEOUT_MS);

    const api = (): ApiClient => new ApiClient(stack.apis[0]?.url ?? '');

    /** Everything acknowledged is there, nothing is stuck, nothing is left over, and no process has met an error that it did not expect. */
    const expectPromisesKept = async (): Promise<void> => {
      // First of all, because it tells why.
      expect(errorsLogged()).toEqual([]);
      await load.works();
      await load.expectKept();
      await eventually(async () => {
        expect(await stack.reconcile({ ORPHAN_GRACE_SECONDS: '0' })).toEqual([]);
        expect(await stack.audit()).toEqual([]);
      }, RECOVERY_MS);
      await Promise.all([...stack.apis, ...stack.workers].map((one) => one.stop()));
      expect(errorsLogged()).toEqual([]);
    };
    const errorsLogged = () =>
      [...stack.apis, ...stack.workers].flatMap((one) => one.log().filter(({ level }) => level === 'error' || level === 'fatal'));

    test(
      'without RabbitMQ everything is taken, a server and a worker can even start, and the jobs follow',
      async () => {
        await begin();
        await servers.rabbit.pause();
        expect(failures(await load.next(STEPS, 2))).toEqual([]);
        await servers.rabbit.kill();
        const [late] = await Promise.all([stack.startApi(), stack.startWorker()]);
        const { status, body } = await new ApiClient(late.url).raw('relay', 'hello', { type: 'text/plain' });
        expect([status, body.state]).toEqual([202, 'queued']);
        expect(failures(await load.next(STEPS, 2))).toEqual([]);
        const [worker] = stack.workers as [RunningServer];
        await worker.stop();
        const events = new ApiClient(late.url).fetch(`/v1/uploads/${body.id}/events`).then((response) => response.text());
        await servers.rabbit.start();
        await stack.restart(worker);
        expect(await events).toContain('"state":"stored"');
        await new ApiClient(late.url).send('DELETE', `/v1/uploads/${body.id}`);
        await expectPromisesKept();
      },
      TIMEOUT_MS,
    );

    test(
      'without the object store uploads are taken and links signed; completions are told to come again, relays follow',
      async () => {
        await begin();
        await servers.store.pause();
        expect(failures(await load.next(SIGNED, 1))).toEqual([]);
        await servers.store.unpause();
        const order = await api().presign({ size: 5 });
        await fetch(order.body.request.url, { method: 'PUT', headers: order.body.request.headers, body: 'hello' });
        await servers.store.kill();
        const { id } = order.body.upload;
        const refused = await api().complete(id);
        expect([refused.status, refused.body.code]).toEqual([503, 'store_unavailable']);
        expect(Number(refused.headers.get('Retry-After'))).toBeGreaterThan(0);
        expect(failures(await load.next(SIGNED, 2))).toEqual([]);
        await servers.store.start();
        expect((await eventually(() => completed(api(), id), RECOVERY_MS)).state).toBe('stored');
        await api().send('DELETE', `/v1/uploads/${id}`);
        await expectPromisesKept();
      },
      TIMEOUT_MS,
    );

    test(
      'without MongoDB whatever needs a record is told to come again, and nothing that was acknowledged is lost',
      async () => {
        await begin();
        const { body: known } = await api().raw('direct', 'hello', { type: 'text/plain' });
        await servers.mongo.pause();
        expect(statuses(await load.next(SIGNED, 2))).toEqual([503]);
        const asked = await Promise.all([
          api().upload(known.id),
          api().get('/v1/uploads'),
          api().get(`/v1/uploads/${known.id}/content`),
          api().json('PUT', '/v1/resources/post/1', { uploads: [{ id: known.id }] }),
          api().send('DELETE', `/v1/uploads/${known.id}`),
        ]);
        for (const { status, body, headers } of asked) {
          expect([status, body.code]).toEqual([503, 'repository_unavailable']);
          expect(Number(headers.get('Retry-After'))).toBeGreaterThan(0);
        }
        await servers.mongo.unpause();
        await load.works();
        await servers.mongo.kill();
        expect(statuses(await load.next(SIGNED, 2))).toEqual([503]);
        // What is told to end does so in good order, whatever is away.
        const [worker] = stack.workers as [RunningServer];
        await worker.stop();
        await servers.mongo.start();
        await eventually(() => stack.restart(worker), RECOVERY_MS);
        await eventually(
          async () => expect([204, 404]).toContain((await api().send('DELETE', `/v1/uploads/${known.id}`)).status),
          RECOVERY_MS,
        );
        await expectPromisesKept();
      },
      TIMEOUT_MS,
    );

    test(
      'connections that are cut, reset, silenced and slowed cost nothing but time',
      async () => {
        await begin();
        const ways = [servers.mongo.way, servers.rabbit.way, servers.store.way];
        for (const way of ways) {
          await way.cut();
          await load.next(SIGNED, 1);
        }
        for (const [toxic, stream] of TOXICS) {
          await Promise.all(ways.map((way) => way.poison(toxic, { stream, toxicity: 0.5 })));
          await load.next(SIGNED, 1);
          await Promise.all(ways.map((way) => way.cure()));
          await load.next(SIGNED, 1);
        }
        await expectPromisesKept();
      },
      TIMEOUT_MS,
    );

    test(
      'a worker that is killed loses its jobs to another, and a server that is killed has its files when it is back',
      async () => {
        await begin();
        const [here, there] = stack.apis as [RunningServer, RunningServer];
        await servers.store.way.poison(SLOW, { stream: 'upstream' });
        const slow = await new ApiClient(here.url).raw('relay', new Uint8Array(await new RandomFile(2 * MIB, 'slow').bytes()));
        expect(slow.status).toBe(202);
        const worker = await eventually(() => workerOn(stack, slow.body.id), RECOVERY_MS);
        await worker.kill();
        await servers.store.way.cure();
        const taken = await eventually(async () => {
          const { body } = await new ApiClient(there.url).upload(slow.body.id);
          expect(body.state).toBe('stored');
          return body;
        }, RECOVERY_MS);
        expect(taken.attempts).toBe(2);

        await servers.store.way.sever();
        const spooled = await new ApiClient(here.url).raw('relay', 'spooled', { type: 'text/plain' });
        const direct = await new ApiClient(here.url).raw('direct', 'direct', { type: 'text/plain' });
        expect([spooled.status, direct.status]).toEqual([202, 201]);
        await here.kill();
        await servers.store.way.mend();
        const meanwhile = await new ApiClient(there.url).get(`/v1/uploads/${direct.body.id}/content`);
        expect([meanwhile.status, meanwhile.body.code, Number(meanwhile.headers.get('Retry-After')) > 0]).toEqual([
          503,
          'node_unavailable',
          true,
        ]);
        await Promise.all([stack.restart(here), stack.restart(worker)]);
        await eventually(async () => expect(await new ApiClient(there.url).content(spooled.body.id)).toBe('spooled'), RECOVERY_MS);
        expect(await new ApiClient(there.url).content(direct.body.id)).toBe('direct');
        for (const { body } of [slow, spooled, direct]) await api().send('DELETE', `/v1/uploads/${body.id}`);
        await expectPromisesKept();
      },
      TIMEOUT_MS,
    );

    test(
      'a platform that starts before its store and its broker makes there what it needs once they have come',
      async () => {
        await Promise.all([servers.store.way.sever(), servers.rabbit.way.sever()]);
        stack = await startStack(servers.addresses, { apis: 1, workers: 1, settings: SETTINGS });
        const { status, body } = await api().raw('relay', 'hello', { type: 'text/plain' });
        expect(status).toBe(202);
        await Promise.all([servers.store.way.mend(), servers.rabbit.way.mend()]);
        await eventually(async () => expect(await api().settled(body.id)).toMatchObject({ state: 'stored' }), RECOVERY_MS);
      },
      TIMEOUT_MS,
    );
  });
});

async function completed(api: ApiClient, id: string) {
  const { status, body } = await api.complete(id);
  if (status !== 200) throw new Error(`completion was answered ${status} ${body.code}`);
  return body;
}

/** The worker that has taken this upload. */
function workerOn({ workers }: Stack, id: string): RunningServer {
  const found = workers.find((worker) => worker.log().some(({ uploadId, state }) => uploadId === id && state === 'relaying'));
  if (!found) throw new Error('no worker has taken the upload yet');
  return found;
}
