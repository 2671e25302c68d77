import type { UploadFilter, UploadScan } from '../../../ports/upload-repository.ts';

export interface Query {
  sql: string;
  values: (string | number)[];
}

/** A condition with the value that goes into it, left out when there is none. */
type Condition = [sql: string, value: string | number | undefined];

function select(conditions: readonly Condition[]): Query {
  const given = conditions.filter((condition): condition is [string, string | number] => condition[1] !== undefined);
  const where = given.length > 0 ? ` WHERE ${given.map(([sql]) => sql).join(' AND ')}` : '';
  return { sql: `SELECT id, doc, outbox FROM uploads${where}`, values: given.map(([, value]) => value) };
}

/** One tenant's uploads, newest first. The conditions are those of the indexes, letter by letter. */
export function listQuery(filter: UploadFilter): Query {
  const { sql, values } = select([
    ['tenant = ?', filter.tenant],
    ['state = ?', filter.state],
    ['strategy = ?', filter.strategy],
    ['resource_type = ?', filter.resource?.type],
    ['resource_id = ?', filter.resource?.id],
    ['resource_type = ?', filter.resourceType],
    ['resource_id = ?', filter.resourceId],
    ['id < ?', filter.before],
  ]);
  const existing = filter.state === undefined ? ` AND state <> 'deleted'` : '';
  return { sql: `SELECT doc, outbox FROM (${sql}${existing} ORDER BY id DESC LIMIT ?)`, values: [...values, filter.limit] };
}

/** Uploads of all tenants by ascending id. One arm for each state, merged by id: each arm then reads its index in order. */
export function scanQuery(scan: UploadScan): Query {
  const states = scan.states === undefined ? [undefined] : scan.states;
  if (states.length === 0) return { sql: 'SELECT doc, outbox FROM uploads WHERE FALSE', values: [] };
  const arms = states.map((state) =>
    select([
      ['state = ?', state],
      ['node = ?', scan.node],
      ['backup_since < ?', scan.backupDueBefore],
      ['id > ?', scan.after],
      ['updated_at < ?', scan.updatedBefore],
      ['expires_at < ?', scan.expiresBefore],
      ['(lease_expires_at IS NULL OR lease_expires_at < ?)', scan.leaseEndedBefore],
    ]),
  );
  const all = arms.map(({ sql }) => sql).join(' UNION ALL ');
  return {
    sql: `SELECT doc, outbox FROM (${all} ORDER BY id LIMIT ?)`,
    values: [...arms.flatMap(({ values }) => values), scan.limit],
  };
}
