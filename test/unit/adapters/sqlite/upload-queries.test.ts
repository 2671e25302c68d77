import { afterAll, describe, expect, test } from '@jest/globals';
import { listQuery, type Query, scanQuery } from '../../../../src/adapters/records/sqlite/upload-queries.ts';
import { Connection } from '../../../../src/adapters/sqlite/connection.ts';

const connection = new Connection(':memory:');
afterAll(() => connection.close());

const planOf = ({ sql, values }: Query): string =>
  connection
    .all<[number, number, number, string]>(`EXPLAIN QUERY PLAN ${sql}`, ...values)
    .map(([, , , step]) => step)
    .join('\n');
const list = { tenant: 'acme', limit: 50, before: 'some-id' };

/** A list or scan that sorts, or that reads the whole table, gets slower with every upload. */
describe('queries go through an index in its order', () => {
  test.each([
    ['uploads_by_tenant', listQuery(list)],
    ['uploads_by_state', listQuery({ ...list, state: 'failed' })],
    ['uploads_by_strategy', listQuery({ ...list, strategy: 'relay' })],
    ['uploads_by_resource', listQuery({ ...list, resource: { type: 'post', id: '42' } })],
    ['uploads_by_node', scanQuery({ states: ['stored'], node: 'api-0', after: 'some-id', limit: 50 })],
    ['uploads_to_scan', scanQuery({ states: ['queued'], updatedBefore: 1, limit: 50 })],
    ['uploads_to_scan', scanQuery({ states: ['relaying', 'verifying'], leaseEndedBefore: 1, after: 'some-id', limit: 50 })],
    ['sqlite_autoindex_uploads_1', scanQuery({ after: 'some-id', limit: 50 })],
  ])('%s (%#)', (index, query) => {
    const plan = planOf(query);
    expect(plan).toContain(`INDEX ${index} `);
    expect(plan).not.toMatch(/TEMP B-TREE|SCAN uploads$/m);
  });

  test.each([
    ['uploads_undelivered', 'SELECT doc, outbox FROM uploads WHERE outbox_oldest_at < 1 ORDER BY outbox_oldest_at LIMIT 5'],
    ['jobs_live', 'SELECT seq FROM jobs WHERE died_at IS NULL AND available_at <= 1 ORDER BY available_at, seq LIMIT 5'],
    ['jobs_live', 'SELECT min(available_at) FROM jobs WHERE died_at IS NULL'],
    ['jobs_dead', 'SELECT doc FROM jobs WHERE died_at IS NOT NULL ORDER BY died_at, seq LIMIT 5'],
  ])('%s: %s', (index, sql) => {
    const plan = planOf({ sql, values: [] });
    expect(plan).toContain(`INDEX ${index}`);
    expect(plan).not.toContain('TEMP B-TREE');
  });
});
