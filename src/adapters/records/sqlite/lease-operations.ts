import { write } from '../../sqlite/operation.ts';

export const leaseOperations = {
  'leases.acquire': write(
    (connection, name: string, holder: string, now: number, until: number) =>
      connection.run(
        `INSERT INTO leases (name, holder, until) VALUES (?, ?, ?)
         ON CONFLICT DO UPDATE SET holder = excluded.holder, until = excluded.until
         WHERE leases.holder = excluded.holder OR leases.until <= ?`,
        name,
        holder,
        until,
        now,
      ) > 0,
  ),

  'leases.release': write((connection, name: string, holder: string) =>
    connection.run('DELETE FROM leases WHERE name = ? AND holder = ?', name, holder),
  ),
};
