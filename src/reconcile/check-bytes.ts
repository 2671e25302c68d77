import type { Upload } from '../core/upload.ts';
import { storedSize } from './stored-bytes.ts';
import { attempt, type TaskContext } from './task.ts';

const AT_ONCE = 16;

/**
 * The other direction: stored uploads whose bytes are gone. Nothing can be put right here, so it is told of, loudly, and
 * nothing is changed. Looks at a portion of the records; the id to go on after next time, undefined at the end.
 */
export async function checkBytes(context: TaskContext): Promise<string | undefined> {
  const { parts, portion } = context;
  let { after } = portion;
  for (let checked = 0; checked < portion.limit; checked += AT_ONCE) {
    const page = await parts.uploads.scan({ states: ['stored'], ...(after === undefined ? {} : { after }), limit: AT_ONCE });
    await Promise.all(page.map((upload) => attempt(context, { uploadId: upload.id }, () => check(context, upload))));
    if (page.length < AT_ONCE) return undefined;
    after = page.at(-1)?.id;
  }
  return after;
}

async function check(context: TaskContext, upload: Upload): Promise<void> {
  const { parts } = context;
  const size = await storedSize(parts, upload);
  if (size === undefined || size === upload.size) return;
  // It may have been deleted since its record was read.
  const current = await parts.uploads.find(upload.id);
  // Nor is it there any more if it was moved: it is looked at again next time.
  if (current?.state !== 'stored' || current.location?.key !== upload.location?.key) return;
  context.found('missing_bytes');
  const { id: uploadId, tenant, location } = upload;
  parts.log.error({ uploadId, tenant, location, expected: upload.size, actual: size }, 'the bytes of a stored upload are not there');
}
