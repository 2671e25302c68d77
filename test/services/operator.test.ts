import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ApiClient } from '../support/api-client.ts';
import { jsonLines } from '../support/command-line.ts';
import { freePort } from '../support/free-port.ts';
import { RabbitRig } from '../support/rabbit.ts';
import type { RunningServer, Settings } from '../support/server.ts';
import { type Stack, startStack } from '../support/stack.ts';
import { withServers } from './with-servers.ts';

interface Report {
  code: number | null;
  /** By subject. */
  found: Record<string, { state: string; detail: string; advice: string | null }>;
  broken: string[];
  output: string;
}

const ORIGIN = 'https://app.example.com';
const at = (text: string): unknown => expect.stringContaining(text);

withServers((servers) => {
  let stack: Stack;
  let server: RunningServer;
  beforeAll(async () => {
    stack = await startStack(servers, { apis: 1, workers: 0, settings: { CORS_ORIGINS: ORIGIN, MIN_FREE_BYTES: '0' } });
    [server] = stack.apis as [RunningServer];
  }, 60_000);
  afterAll(() => stack[Symbol.asyncDispose]());

  const doctor = async (settings: Settings = {}): Promise<Report> => {
    const { code, stdout, stderr } = await server.command(['doctor', '--json'], settings);
    const findings = jsonLines(stdout);
    const broken = findings.filter(({ state }) => state === 'broken').map(({ subject }) => subject);
    return { code, broken, found: Object.fromEntries(findings.map((one) => [one.subject, one])), output: stdout + stderr };
  };
  const nobody = async (): Promise<string> => `127.0.0.1:${await freePort()}`;
  const withPassword = (url: string, password: string): string => Object.assign(new URL(url), { password }).href;

  describe('windlass doctor beside a server on MongoDB, RabbitMQ and S3', () => {
    test('all is well: each part by its name, the links, the way to this server; nothing stays of it', async () => {
      const fresh = await doctor();
      expect([fresh.code, fresh.broken]).toEqual([0, []]);
      expect(fresh.found).toMatchObject({
        database: { state: 'ok', detail: at('MongoDB: wrote, read and removed') },
        queue: { state: 'ok', detail: at('RabbitMQ: 0 ready') },
        'object store': { state: 'ok', detail: at(`S3 bucket ${stack.settings.S3_BUCKET}: put, read and removed`) },
        clock: { state: 'ok' },
        'clock of the store': { state: 'ok' },
        'signed PUT': { state: 'ok', detail: `taken by ${servers.s3.endpoint}` },
        'CORS preflight': { state: 'ok', detail: `${ORIGIN} may PUT` },
        NODE_URL: { state: 'ok' },
      });
      expect((await new ApiClient(server.url).raw('direct', 'x')).status).toBe(201);
      await server.command(['provision']);
      const used = await doctor();
      expect(used.found).toMatchObject({ NODE_URL: { state: 'ok', detail: at('hands out what lies in the spool') } });
      expect(used.found).toMatchObject({ SPOOL_DIR: { state: 'ok' }, 'space in SPOOL_DIR': { state: 'ok' } });
      expect(await stack.audit()).toEqual([]);
    });

    test('without a server at PUBLIC_URL the links are proved all the same: they do not lead to it', async () => {
      const { code, found } = await doctor({ PUBLIC_URL: `http://${await nobody()}` });
      expect(code).toBe(0);
      expect(found).toMatchObject({
        'public address': { state: 'skipped' },
        'signed PUT': { state: 'ok' },
        'CORS preflight': { state: 'ok' },
      });
    });

    test.each([
      ['database', async () => ({ MONGODB_URI: `mongodb://${await nobody()}/windlass` }), /cannot be used: .*ECONNREFUSED/, /MONGODB_URI/],
      ['queue', async () => ({ RABBITMQ_URL: `amqp://${await nobody()}` }), /cannot be reached: .*ECONNREFUSED/, /RABBITMQ_URL/],
      ['queue', async () => ({ RABBITMQ_URL: withPassword(servers.rabbitmqUrl, 'not-the-password') }), /refused/i, /password/],
      ['queue', async () => ({ RABBITMQ_PREFIX: 'never-provisioned' }), /no queue/, /windlass provision/],
      ['object store', async () => ({ S3_ENDPOINT: `http://${await nobody()}` }), /ECONNREFUSED/, /S3_ENDPOINT/],
      ['object store', async () => ({ S3_BUCKET: 'there-is-no-such-bucket' }), /NoSuchBucket/, /windlass provision/],
      ['object store', async () => ({ AWS_SECRET_ACCESS_KEY: 'not-the-secret' }), /SignatureDoesNotMatch/, /AWS_SECRET_ACCESS_KEY/],
      ['object store', async () => ({ AWS_ACCESS_KEY_ID: 'nobody' }), /InvalidAccessKeyId|XAdminUserNotFound/, /AWS_ACCESS_KEY_ID/],
    ])('only the %s is broken where it cannot be used, and it is said what to do (%#)', async (subject, wrong, why, what) => {
      const settings = await wrong();
      const { code, broken, found, output } = await doctor(settings);
      expect([code, broken]).toEqual([1, [subject]]);
      expect(found[subject]?.detail).toMatch(why);
      expect(found[subject]?.advice).toMatch(what);
      const parts = ['database', 'queue', 'object store'].filter((one) => one !== subject).map((one) => found[one]?.state);
      expect(parts).toEqual(['ok', 'ok']);
      expect(output).not.toMatch(/not-the-|windlass-secret/);
    });

    test('an address of the store that clients cannot use', async () => {
      const { broken, found } = await doctor({ S3_PUBLIC_ENDPOINT: `http://${await nobody()}` });
      expect(broken).toEqual(['signed PUT']);
      expect(found['signed PUT']).toMatchObject({ detail: at('connection refused'), advice: at('S3_PUBLIC_ENDPOINT') });
    });

    test('an origin that the bucket does not know', async () => {
      const { broken, found } = await doctor({ CORS_ORIGINS: 'https://elsewhere.example.com' });
      expect(broken).toEqual(['CORS preflight']);
      expect(found['CORS preflight']).toMatchObject({
        detail: at('https://elsewhere.example.com may not PUT'),
        advice: at('CORS_ORIGINS'),
      });
    });

    test('other servers do not reach this one, or do not have its secret', async () => {
      const away = await doctor({ NODE_URL: `http://${await nobody()}` });
      expect(away.broken).toEqual(['NODE_URL']);
      const stranger = await doctor({ INTERNAL_SECRET: 'another secret altogether' });
      expect(stranger.broken).toEqual(['NODE_URL']);
      expect(stranger.found.NODE_URL).toMatchObject({ detail: at('401'), advice: at('INTERNAL_SECRET') });
      const elsewhere = await doctor({ NODE_URL: server.opsUrl });
      expect(elsewhere.broken).toEqual(['NODE_URL']);
      const alone = await doctor({ INTERNAL_SECRET: undefined });
      expect(alone.found.NODE_URL).toBeUndefined();
    });

    test('a worker is asked for less, and either role for what it cannot do without', async () => {
      const worker = await server.command(['doctor', '--json', '--role', 'relay'], {
        DATA_DIR: '/proc/no-such-folder',
        NODE_URL: undefined,
      });
      expect(worker.code).toBe(0);
      expect(jsonLines(worker.stdout).map(({ subject }) => subject)).toEqual(['node', 'settings', 'database', 'queue', 'object store']);
      const lacking = await server.command(['doctor', '--role', 'api'], { NODE_URL: undefined, S3_BUCKET: undefined });
      expect(lacking.code).toBe(1);
      expect(lacking.stdout).toMatch(/S3_BUCKET: must be set/);
      expect(lacking.stdout).toMatch(/NODE_URL: must be set/);
    });

    test('jobs that were given up are a warning', async () => {
      const rig = new RabbitRig({ url: servers.rabbitmqUrl, managementUrl: servers.rabbitmqManagementUrl });
      await rig.open();
      await rig.meddle(async (channel) => {
        channel.sendToQueue(`${rig.prefix}.jobs.dead`, Buffer.from('{}'));
        await channel.waitForConfirms();
      });
      const { code, found } = await doctor({ RABBITMQ_PREFIX: rig.prefix });
      await rig.close();
      expect(code).toBe(0);
      expect(found.queue).toMatchObject({ state: 'warning', detail: at('1 given up'), advice: at('windlass redrive') });
    });

    test('queues that were made with other arguments', async () => {
      const rig = new RabbitRig({ url: servers.rabbitmqUrl, managementUrl: servers.rabbitmqManagementUrl }, { deliveryLimit: 5 });
      await rig.open();
      const { broken, found } = await doctor({ RABBITMQ_PREFIX: rig.prefix });
      await rig.close();
      expect(broken).toEqual(['queue']);
      expect(found.queue?.detail).toMatch(/other arguments than this version declares \(x-delivery-limit\)/);
    });
  });

  describe('windlass provision', () => {
    const fresh = (): Settings => ({
      RABBITMQ_PREFIX: `provision-${stack.settings.S3_BUCKET}`,
      S3_BUCKET: `provision-${stack.settings.S3_BUCKET}`,
    });

    test('makes bucket, queues and indexes once, and tells what the server cannot do', async () => {
      const first = await server.command(['provision'], fresh());
      const second = await server.command(['provision'], fresh());
      expect([first.code, second.code]).toEqual([0, 0]);
      expect(first.stdout).toMatch(/^made +bucket +provision-stack/m);
      expect(first.stdout).toMatch(/^made +queue provision-stack-\w+\.jobs$/m);
      expect(first.stdout).toMatch(/^made +CORS +https:/m);
      expect(first.stdout).toMatch(/^NOT MADE +lifecycle .* no such rules/m);
      expect(second.stdout).not.toMatch(/^made/m);
      expect(second.stdout).toMatch(/^was there +queue /m);
    });

    test('a part that is away does not keep the others from being made', async () => {
      const settings = { ...fresh(), RABBITMQ_URL: withPassword(servers.rabbitmqUrl, 'not-the-password') };
      const { code, stdout, stderr } = await server.command(['provision'], settings);
      expect(code).toBe(1);
      expect(stderr).toMatch(/^FAILED +queue +RabbitMQ: .*refused.* -> Check user, password/im);
      expect(stdout).toMatch(/^was there +bucket/m);
      expect(stdout + stderr).not.toContain('not-the-password');
    });
  });
});
