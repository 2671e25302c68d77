import { expect, test } from '@jest/globals';
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
