import { expect, test } from '@jest/globals';
import { type ConfigError, type Environment, readConfig, roleProblems } from '../../src/config.ts';

const SECRET = 'a secret that all servers have';
const spread: Environment = { DIRECT_PLACEMENT: 'rendezvous', INTERNAL_SECRET: SECRET };

function problems(environment: Environment): readonly string[] {
  try {
    readConfig(environment);
    return [];
  } catch (error) {
    return (error as ConfigError).problems;
  }
}

test('files stay where they are taken, unless told otherwise', () => {
  expect(readConfig({})).toMatchObject({ DIRECT_PLACEMENT: 'local', DIRECT_WEIGHT: 1, DIRECT_MEMBERS: undefined });
});

test('a list of servers is read with their addresses and weights', () => {
  const DIRECT_MEMBERS = 'api-0=http://10.0.0.1:8080/, api-1=https://b.example;weight=2.5,';
  expect(readConfig({ ...spread, DIRECT_MEMBERS }).DIRECT_MEMBERS).toEqual([
    { name: 'api-0', url: 'http://10.0.0.1:8080', weight: 1 },
    { name: 'api-1', url: 'https://b.example', weight: 2.5 },
  ]);
});

test.each([
  ['api-0', 'api-0'],
  ['api-0=', 'api-0='],
  ['=http://a', '=http://a'],
  ['api 0=http://a', 'api 0='],
  ['api-0=ftp://a', 'ftp://a'],
  ['api-0=http://a;weight=0', 'weight=0'],
  ['api-0=http://a;weight=-1', 'weight=-1'],
  ['api-0=http://a;heavy', 'heavy'],
  ['api-0=http://a?b', 'http://a?b'],
  ['api-0=http://a,api-0=http://b', 'twice'],
  ['shared=http://a', 'shared'],
])('the list %j is refused, with what is wrong in it', (DIRECT_MEMBERS, told) => {
  const found = problems({ ...spread, DIRECT_MEMBERS });
  expect(found).toEqual([expect.stringContaining(told)]);
});

test.each<[string, Environment, string]>([
  ['another way of placing', { DIRECT_PLACEMENT: 'ring' }, 'DIRECT_PLACEMENT'],
  ['spreading without a secret', { DIRECT_PLACEMENT: 'rendezvous' }, 'INTERNAL_SECRET'],
  ['a list that would say nothing', { DIRECT_MEMBERS: 'api-0=http://a' }, 'DIRECT_MEMBERS'],
  ['the name of the shared drive', { NODE_NAME: 'shared' }, 'NODE_NAME'],
  ['no weight', { ...spread, DIRECT_WEIGHT: '0' }, 'DIRECT_WEIGHT'],
  ['a weight that is no number', { ...spread, DIRECT_WEIGHT: 'heavy' }, 'DIRECT_WEIGHT'],
])('%s stops the start', (_what, environment, setting) => {
  expect(problems(environment)).toEqual([expect.stringMatching(new RegExp(`^${setting}: `))]);
});

test('a server among others needs an address to be sent files, also where the spool is shared', () => {
  const others = { MONGODB_URI: 'mongodb://a/b', RABBITMQ_URL: 'amqp://a', S3_BUCKET: 'files', SPOOL_SHARED: 'true' };
  expect(roleProblems(readConfig({ ...others, ...spread }), 'api')).toEqual([expect.stringMatching(/^NODE_URL: /)]);
  expect(roleProblems(readConfig({ ...others, ...spread, NODE_URL: 'http://a' }), 'api')).toEqual([]);
  expect(roleProblems(readConfig({ ...others, ...spread }), 'relay')).toEqual([]);
  expect(roleProblems(readConfig(others), 'api')).toEqual([]);
});
