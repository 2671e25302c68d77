import { describe, expect, test } from '@jest/globals';
import { readConfig, roleProblems } from '../../src/config.ts';

const SHARED = { MONGODB_URI: 'mongodb://db/windlass', RABBITMQ_URL: 'amqp://queue', S3_BUCKET: 'uploads', SPOOL_SHARED: 'true' };

test('only who serves the API to others needs tokens', () => {
  const open = readConfig({ ...SHARED, HOST: '0.0.0.0' });
  expect(roleProblems(open, 'all')).toEqual([expect.stringMatching(/^HOST: .*TOKENS_FILE must be set/)]);
  expect(roleProblems(open, 'api')).toEqual([expect.stringMatching(/^HOST: .*TOKENS_FILE must be set/)]);
  expect(roleProblems(open, 'relay')).toEqual([]);
  const closed = readConfig({ ...SHARED, HOST: '0.0.0.0', TOKENS_FILE: './tokens' });
  for (const role of ['all', 'api', 'relay'] as const) expect(roleProblems(closed, role)).toEqual([]);
  for (const HOST of ['127.0.0.1', '::1', 'localhost']) expect(roleProblems(readConfig({ ...SHARED, HOST }), 'api')).toEqual([]);
});

test('every problem is told at once', () => {
  const problems = roleProblems(readConfig({ HOST: '::' }), 'api');
  for (const name of ['HOST', 'MONGODB_URI', 'RABBITMQ_URL', 'S3_BUCKET', 'INTERNAL_SECRET', 'NODE_URL'])
    expect(problems).toContainEqual(expect.stringMatching(new RegExp(`^${name}: `)));
});

describe('STRATEGIES', () => {
  test.each([
    [',', 'must name at least one strategy'],
    ['direct,ftp', 'must be some of direct, relay, presign, separated by commas'],
    ['direct, direct', 'names a strategy twice'],
  ])('%j is refused', (STRATEGIES, words) => {
    expect(() => readConfig({ STRATEGIES })).toThrow(`STRATEGIES: ${words}`);
  });

  test('are all by default', () => {
    expect(readConfig({}).STRATEGIES).toEqual(['direct', 'relay', 'presign']);
    expect(readConfig({ STRATEGIES: ' presign , direct ' }).STRATEGIES).toEqual(['presign', 'direct']);
  });

  const { SPOOL_SHARED: _, S3_BUCKET, ...servers } = SHARED;
  const missing = (settings: Record<string, string>, role: 'api' | 'relay') =>
    roleProblems(readConfig({ ...servers, ...settings }), role).map((line) => line.split(':')[0]);

  test.each([
    ['presign', { S3_BUCKET }, [], []],
    ['presign', {}, ['S3_BUCKET'], ['S3_BUCKET']],
    ['relay', { S3_BUCKET }, ['INTERNAL_SECRET', 'NODE_URL'], ['INTERNAL_SECRET']],
    ['relay', { S3_BUCKET, SPOOL_SHARED: 'true' }, [], []],
    ['direct', {}, ['INTERNAL_SECRET', 'NODE_URL'], []],
    ['direct', { DIRECT_PLACEMENT: 'shared' }, [], []],
    ['direct', { DIRECT_BACKUP: 'true' }, ['S3_BUCKET', 'INTERNAL_SECRET', 'NODE_URL'], ['S3_BUCKET', 'INTERNAL_SECRET']],
    ['direct,presign', { DIRECT_PLACEMENT: 'shared' }, ['S3_BUCKET'], ['S3_BUCKET']],
  ])('%s with %j still needs %j at a server, %j at a worker', (STRATEGIES, settings, server, worker) => {
    expect(missing({ STRATEGIES, ...settings }, 'api')).toEqual(server);
    expect(missing({ STRATEGIES, ...settings }, 'relay')).toEqual(worker);
  });
});
