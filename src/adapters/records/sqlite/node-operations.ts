import { read, write } from '../../sqlite/operation.ts';

export const nodeOperations = {
  'nodes.register': write((connection, name: string, url: string, seenAt: number) =>
    connection.run(
      'INSERT INTO nodes (name, url, seen_at) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET url = excluded.url, seen_at = excluded.seen_at',
      name,
      url,
      seenAt,
    ),
  ),

  'nodes.find': read((connection, name: string) =>
    connection.get<[url: string, seenAt: number]>('SELECT url, seen_at FROM nodes WHERE name = ?', name),
  ),
};
