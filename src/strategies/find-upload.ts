import type { Upload } from '../core/upload.ts';
import { WindlassError } from '../errors.ts';
import type { UploadRepository } from '../ports/upload-repository.ts';

/** An upload that this tenant may see. Throws `not_found` for one that is another tenant's, is deleted or never was. */
export async function findUpload(uploads: Pick<UploadRepository, 'find'>, tenant: string, id: string): Promise<Upload> {
  const upload = await uploads.find(id);
  if (!upload || upload.tenant !== tenant || upload.state === 'deleted') throw noSuchUpload();
  return upload;
}

export const noSuchUpload = (): WindlassError => new WindlassError('not_found', 'There is no such upload.');
