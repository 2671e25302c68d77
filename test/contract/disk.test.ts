import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { v7 } from 'uuid';
import { Background } from '../../src/adapters/background/background.ts';
import { LocalDisk, type LocalDiskOptions } from '../../src/adapters/disk/local-disk.ts';
import { describeDisk } from './disk.ts';

const openIn = async (options: Pick<LocalDiskOptions, 'background'>) => {
  const root = await mkdtemp(join(tmpdir(), 'windlass-disk-'));
  const disk = new LocalDisk({ root: join(root, 'made', 'on', 'demand'), minFreeBytes: 0, newId: () => v7(), ...options });
  return { disk, close: () => rm(root, { recursive: true, force: true }) };
};

describeDisk('local folder', () => openIn({}));

describeDisk('local folder, small files by the background thread', async () => {
  const background = new Background();
  const opened = await openIn({ background });
  const close = async (): Promise<void> => {
    await background.close();
    await opened.close();
  };
  return { ...opened, close };
});
