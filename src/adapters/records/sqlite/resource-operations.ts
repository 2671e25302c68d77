import { read, write } from '../../sqlite/operation.ts';

export const resourceOperations = {
  'resources.find': read(
    (connection, tenant: string, type: string, id: string) =>
      connection.get<[string]>('SELECT doc FROM resources WHERE tenant = ? AND type = ? AND id = ?', tenant, type, id)?.[0],
  ),

  /** `doc` is the resource as it is when it is new. */
  'resources.touch': write(
    (connection, tenant: string, type: string, id: string, doc: string, now: number) =>
      connection.get<[string]>(
        `INSERT INTO resources (tenant, type, id, doc) VALUES (?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET doc = json_set(doc, '$.revision', revision + 1, '$.updatedAt', ?) RETURNING doc`,
        tenant,
        type,
        id,
        doc,
        now,
      )?.[0],
  ),

  'resources.insert': write(
    (connection, tenant: string, type: string, id: string, doc: string) =>
      connection.run('INSERT INTO resources (tenant, type, id, doc) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING', tenant, type, id, doc) > 0,
  ),

  'resources.replace': write(
    (connection, tenant: string, type: string, id: string, doc: string, revision: number) =>
      connection.run(
        'UPDATE resources SET doc = merge_members(doc, ?) WHERE tenant = ? AND type = ? AND id = ? AND revision = ?',
        doc,
        tenant,
        type,
        id,
        revision,
      ) > 0,
  ),

  'resources.settle': write((connection, tenant: string, type: string, id: string, intentRevision: number) =>
    connection.run(
      `UPDATE resources SET doc = json_set(doc, '$.intent', json('null'))
       WHERE tenant = ? AND type = ? AND id = ? AND intent_revision = ?`,
      tenant,
      type,
      id,
      intentRevision,
    ),
  ),

  'resources.remove': write(
    (connection, tenant: string, type: string, id: string, revision: number) =>
      connection.run('DELETE FROM resources WHERE tenant = ? AND type = ? AND id = ? AND revision = ?', tenant, type, id, revision) > 0,
  ),

  'resources.unsettled': read((connection, before: number, limit: number) =>
    connection.all<[string]>(
      'SELECT doc FROM resources WHERE intent_revision IS NOT NULL AND updated_at < ? ORDER BY updated_at LIMIT ?',
      before,
      limit,
    ),
  ),
};
