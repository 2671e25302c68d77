import type { Upload } from '../core/upload.ts';
import type { UploadRepository, UploadScan } from '../ports/upload-repository.ts';

const PAGE = 200;

/** All records that meet the conditions, a page at a time, by ascending id. */
export async function* scanUploads(uploads: Pick<UploadRepository, 'scan'>, query: Omit<UploadScan, 'limit'>): AsyncGenerator<Upload> {
  let after = query.after;
  for (;;) {
    const page = await uploads.scan({ ...query, ...(after === undefined ? {} : { after }), limit: PAGE });
    yield* page;
    if (page.length < PAGE) return;
    after = page.at(-1)?.id;
  }
}

/** What a stream yields, in groups, so that records can be looked up many at a time. */
export async function* inBatches<T>(items: AsyncIterable<T>, size = PAGE): AsyncGenerator<T[]> {
  let batch: T[] = [];
  for await (const item of items) {
    batch.push(item);
    if (batch.length < size) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
