import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { v7 } from 'uuid';
import { LocalDisk } from '../../src/adapters/disk/local-disk.ts';
import { describeDisk } from './disk.ts';

describeDisk('local folder', async () => {
  const root = await mkdtemp(join(tmpdir(), 'windlass-disk-'));
  const disk = new LocalDisk({ root: join(root, 'made', 'on', 'demand'), minFreeBytes: 0, newId: () => v7() });
  return { disk, close: () => rm(root, { recursive: true, force: true }) };
});
