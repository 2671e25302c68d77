/** Writes records to the file named in its argument for as long as it lives; prints `ID VERSION` for each write once it is acknowledged. */
import { writeSync } from 'node:fs';
import { SqliteUploadRepository } from '../../src/adapters/records/sqlite/uploads.ts';
import { openDatabase } from '../../src/adapters/sqlite/database.ts';
import { transition } from '../../src/core/upload.ts';
import { at, uploadRecord } from '../support/upload-record.ts';

const repository = new SqliteUploadRepository(await openDatabase(process.argv[2] ?? ''));

async function write(): Promise<never> {
  for (;;) {
    const upload = uploadRecord();
    await repository.insert(upload);
    writeSync(1, `${upload.id} 1\n`);
    await repository.apply(transition(upload, 'relaying', {}, at(2_000)));
    writeSync(1, `${upload.id} 2\n`);
  }
}

await Promise.all(Array.from({ length: 8 }, write));
