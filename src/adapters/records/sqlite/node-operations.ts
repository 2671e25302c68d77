import { read, write } from '../../sqlite/operation.ts';

export type NodeRow = [name: string, url: string, seenAt: number, weight: number | null, draining: number];

const COLUMNS = 'name, url, seen_at, weight, draining';

export const nodeOperations = {
  'nodes.register': write((connection, name: string, url: string, seenAt: number, weight: number | null) =>
    connection.run(
      `INSERT INTO nodes (name, url, seen_at, weight) VALUES (?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET url = excluded.url, seen_at = excluded.seen_at, weight = excluded.weight`,
      name,
      url,
      seenAt,
      weight,
    ),
  ),

  'nodes.find': read((connection, name: string) => connection.get<NodeRow>(`SELECT ${COLUMNS} FROM nodes WHERE name = ?`, name)),

  'nodes.list': read((connection) => connection.all<NodeRow>(`SELECT ${COLUMNS} FROM nodes`)),

  'nodes.setDraining': write(
    (connection, name: string, draining: number) => connection.run('UPDATE nodes SET draining = ? WHERE name = ?', draining, name) > 0,
  ),

  'nodes.removeDrained': write(
    (connection, name: string, seenBefore: number) =>
      connection.run('DELETE FROM nodes WHERE name = ? AND draining <> 0 AND seen_at < ?', name, seenBefore) > 0,
  ),
};
