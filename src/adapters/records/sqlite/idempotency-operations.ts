import { write } from '../../sqlite/operation.ts';

export type ClaimRow = [uploadId: string, holder: string, leaseUntil: number, expiresAt: number];

export const idempotencyOperations = {
  /** One statement: a key that is free or forgotten is taken, one whose lease has ended keeps its upload, else nothing changes. */
  'idempotency.claim': write(
    (connection, tenant: string, key: string, uploadId: string, holder: string, leaseUntil: number, expiresAt: number, now: number) =>
      connection.get<ClaimRow>(
        `INSERT INTO idempotency_claims (tenant, key, upload_id, holder, lease_until, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET
           upload_id = iif(expires_at <= ?7, excluded.upload_id, upload_id),
           holder = iif(min(expires_at, lease_until) <= ?7, excluded.holder, holder),
           lease_until = iif(min(expires_at, lease_until) <= ?7, excluded.lease_until, lease_until),
           expires_at = iif(min(expires_at, lease_until) <= ?7, excluded.expires_at, expires_at)
         RETURNING upload_id, holder, lease_until, expires_at`,
        tenant,
        key,
        uploadId,
        holder,
        leaseUntil,
        expiresAt,
        now,
      ),
  ),

  'idempotency.renew': write(
    (connection, tenant: string, key: string, holder: string, leaseUntil: number) =>
      connection.run(
        'UPDATE idempotency_claims SET lease_until = ? WHERE tenant = ? AND key = ? AND holder = ?',
        leaseUntil,
        tenant,
        key,
        holder,
      ) > 0,
  ),

  'idempotency.release': write((connection, tenant: string, key: string, holder: string) =>
    connection.run('DELETE FROM idempotency_claims WHERE tenant = ? AND key = ? AND holder = ?', tenant, key, holder),
  ),

  'idempotency.sweep': write((connection, now: number) => connection.run('DELETE FROM idempotency_claims WHERE expires_at < ?', now)),
};
