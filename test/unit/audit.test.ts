import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { type AuditOptions, type AuditReport, audit } from '../../src/audit.ts';
import { backupKeyOf, diskKeyOf, keyOf } from '../../src/core/keys.ts';
import { dueBackup, type Upload } from '../../src/core/upload.ts';
import { BackupJob } from '../../src/relay/backup-job.ts';
import { acceptDirect, acceptRelay, newUpload, openTestPlatform, sha256, type TestPlatform, writeFileTo } from '../support/platform.ts';

const BYTES = Buffer.from('the bytes that were accepted');
const HOUR = 3_600_000;
let bench: TestPlatform;
beforeEach(async () => {
  bench = await openTestPlatform();
});
afterEach(() => bench.close());

/** The audit as it would be done two hours from now, where nothing asks for another time. */
function look({ later = 2 * HOUR, ...options }: Partial<AuditOptions> & { later?: number } = {}): Promise<AuditReport> {
  return audit({ ...bench.platform, clock: () => Date.now() + later }, { graceSeconds: 3600, hash: true, ...options });
}
const kinds = ({ problems }: AuditReport): string[] => problems.map(({ kind, subject }) => `${kind} ${subject}`).sort();
const direct = async (): Promise<Upload> => {
  const upload = await acceptDirect(bench, BYTES);
  await bench.platform.uploads.removeMessages(
    upload.id,
    upload.outbox.map(({ id }) => id),
  );
  return upload;
};
const pathOf = (upload: Upload): string => join(bench.platform.config.DIRECT_DIR, upload.location?.key ?? '');

test('a platform in order has no problems, and every byte of it was read', async () => {
  await direct();
  await direct();
  await acceptRelay(bench, BYTES);
  expect(await look({ later: 0 })).toEqual({ checked: 3, hashedBytes: 3 * BYTES.length, problems: [] });
});

test('a single flipped bit is found, though the size is right', async () => {
  const [sound, rotten] = [await direct(), await direct()];
  const bytes = Buffer.from(BYTES);
  bytes.writeUInt8(bytes.readUInt8(7) ^ 1, 7);
  await writeFile(pathOf(rotten), bytes);
  const report = await look();
  expect(kinds(report)).toEqual([`digest_mismatch ${rotten.id}`]);
  expect(report.problems[0]?.detail).toContain(`instead of ${sound.sha256}`);
  expect((await look({ hash: false })).problems).toEqual([]);
});

test('missing and cut files are found, on the disk, in the spool and in the store', async () => {
  const [missing, cut] = [await direct(), await direct()];
  const waiting = await acceptRelay(bench, BYTES);
  const failed = (await bench.ledger.transition(await acceptRelay(bench, BYTES), 'failed')) as Upload;
  const relaying = (await bench.ledger.transition(await acceptRelay(bench, BYTES), 'relaying', {
    lease: { token: 'a', expiresAt: Date.now() + HOUR },
  })) as Upload;
  const { name, bucket } = bench.platform.store;
  const location = { store: name, bucket, key: keyOf('files', 'acme', relaying.id), node: null };
  await bench.ledger.transition(relaying, 'stored', { location });
  await bench.platform.direct.remove(missing.location?.key ?? '');
  await writeFile(pathOf(cut), BYTES.subarray(1));
  for (const { spool } of [waiting, failed]) await bench.platform.spool.remove(spool?.key ?? '');
  const expected = [
    `missing_bytes ${missing.id}`,
    `missing_bytes ${waiting.id}`,
    `missing_bytes ${failed.id}`,
    `missing_bytes ${relaying.id}`,
  ];
  const { problems } = await look({ later: 0, hash: false });
  const found = problems.map(({ kind, subject }) => `${kind} ${subject}`).sort();
  expect(found).toEqual([...expected, `size_mismatch ${cut.id}`].sort());
});

test('files that no record owns are found once they are older than the grace period', async () => {
  const id = bench.platform.newId();
  await writeFileTo(bench.platform.spool, diskKeyOf('spool', 'acme', id), BYTES);
  await writeFileTo(bench.platform.direct, diskKeyOf('files', 'acme', id), BYTES);
  await writeFileTo(bench.platform.direct, 'notes.txt', BYTES);
  await writeFile(join(bench.platform.config.DIRECT_DIR, '.unfinished', 'left'), 'half');
  expect((await look({ later: 0 })).problems).toEqual([]);
  expect(kinds(await look())).toEqual(
    ['foreign notes.txt', 'orphan direct', `orphan ${diskKeyOf('files', 'acme', id)}`, `orphan ${diskKeyOf('spool', 'acme', id)}`].sort(),
  );
});

test('what has come to a standstill is found', async () => {
  const waiting = await acceptRelay(bench, BYTES);
  const abandoned = await acceptRelay(bench, BYTES);
  await bench.ledger.transition(abandoned, 'relaying', { lease: { token: 'a', expiresAt: Date.now() } });
  const pending = await bench.ledger.create(
    newUpload(bench.platform, BYTES, {
      strategy: 'presign',
      expiresAt: Date.now(),
      staging: { key: 'staging/x', method: 'PUT', multipartId: null, partSize: null, partCount: null, linkExpiresAt: 0 },
    }),
  );
  const stuck = (await look()).problems.filter(({ kind }) => kind === 'stuck').map(({ subject }) => subject);
  expect(stuck.sort()).toEqual([waiting.id, abandoned.id, pending.id].sort());
  expect(kinds(await look()).filter((kind) => kind.startsWith('undelivered'))).toHaveLength(2);
});

test('an upload that is deleted while it is looked at is no problem', async () => {
  const upload = await direct();
  const scan: typeof bench.platform.uploads.scan = async (query) => {
    const page = await bench.platform.uploads.scan(query);
    await bench.ledger.update(upload.id, (current, now) =>
      current.state === 'deleted'
        ? null
        : { id: current.id, version: current.version, set: { state: 'deleted', updatedAt: now.now }, emit: [] },
    );
    await bench.platform.direct.remove(upload.location?.key ?? '');
    return page;
  };
  const uploads = new Proxy(bench.platform.uploads, {
    get(target, name) {
      const member = Reflect.get(target, name);
      return name === 'scan' ? scan : typeof member === 'function' ? member.bind(target) : member;
    },
  });
  expect((await audit({ ...bench.platform, uploads }, { graceSeconds: 3600, hash: true })).problems).toEqual([]);
});

test('backups are read, too: what is missing, damaged, late or was never asked for is found', async () => {
  const { platform, ledger } = bench;
  const accepted = (fields = {}) => acceptDirect(bench, BYTES, fields);
  const [whole, missing, damaged] = [
    await accepted({ backup: dueBackup(1) }),
    await accepted({ backup: dueBackup(1) }),
    await accepted({ backup: dueBackup(1) }),
  ];
  const job = new BackupJob({ ...platform, ledger });
  for (const upload of [whole, missing, damaged]) await job.run({ uploadId: upload.id }, { signal: new AbortController().signal });
  await platform.store.remove(backupKeyOf(missing));
  const wrong = Buffer.alloc(BYTES.length, 'x');
  await platform.store.remove(backupKeyOf(damaged));
  await platform.store.put(backupKeyOf(damaged), {
    size: wrong.length,
    contentType: 'text/plain',
    sha256: sha256(wrong),
    open: async () => Readable.from([Buffer.from(wrong)]),
  });
  const late = await accepted({ backup: dueBackup(Date.now()) });
  const failed = await accepted({ backup: { state: 'failed', attempts: 12, error: { code: 'store_unavailable', detail: '' }, at: 1 } });
  const none = await accepted();
  const found = async (config = platform.config) =>
    kinds(await audit({ ...platform, config, clock: () => Date.now() + 2 * HOUR }, { graceSeconds: 3600, hash: true }));
  const backups = (all: string[]) => all.filter((line) => line.startsWith('backup'));
  const expected = [`backup_damaged ${damaged.id}`, ...[failed, late, missing].map(({ id }) => `backup_missing ${id}`)].sort();
  expect(backups(await found())).toEqual(expected);
  expect(backups(await found({ ...platform.config, DIRECT_BACKUP: true }))).toEqual([...expected, `backup_missing ${none.id}`].sort());
});
