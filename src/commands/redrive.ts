import type { Command } from 'commander';
import { isUploadId } from '../core/keys.ts';
import { scanUploads } from '../reconcile/paging.ts';
import type { OpenPlatform } from './open.ts';

type Opened = Pick<OpenPlatform, 'platform' | 'redrive' | 'close'>;

/** Ends with exit code 1 when one of the uploads could not be tried again. */
export function addRedrive(program: Command, open: () => Promise<Opened>): void {
  program
    .command('redrive')
    .description('try relayed uploads that failed for good once more')
    .argument('[id...]', 'ids of the uploads')
    .option('--all', 'all that failed')
    .action(async (ids: string[], { all = false }: { all?: boolean }, command: Command) => {
      if (all === ids.length > 0) command.error('error: name the uploads, or give --all', { exitCode: 2 });
      const opened = await open();
      try {
        for await (const id of all ? failedRelays(opened) : ids) if (!(await redriveOne(opened, id))) process.exitCode = 1;
      } finally {
        await opened.close();
      }
    });
}

async function* failedRelays({ platform }: Opened): AsyncGenerator<string> {
  for await (const { id, strategy } of scanUploads(platform.uploads, { states: ['failed'] })) if (strategy === 'relay') yield id;
}

async function redriveOne({ redrive }: Opened, id: string): Promise<boolean> {
  try {
    if (!isUploadId(id)) throw new Error('this is not the id of an upload');
    await redrive.redrive(id);
    process.stdout.write(`${id}: queued\n`);
    return true;
  } catch (error) {
    process.stderr.write(`${id}: ${error instanceof Error ? error.message : String(error)}\n`);
    return false;
  }
}
