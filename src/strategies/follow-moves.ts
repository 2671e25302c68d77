import type { Location, Upload } from '../core/upload.ts';
import { codeOf } from '../errors.ts';
import type { UploadRepository } from '../ports/upload-repository.ts';

/** Moves are rare: a file that is gone again each time is not being moved. */
const LOOKS = 5;

/**
 * Looks for the bytes of an upload where its record says. When nothing is there, or nobody answers, they may just have been
 * moved: then the record is read again, and they are looked for where it says now. Null when they are nowhere.
 */
export async function followMoves<T>(
  uploads: Pick<UploadRepository, 'find'>,
  upload: Upload,
  look: (location: Location) => Promise<T | null>,
): Promise<T | null> {
  let { location } = upload;
  for (let looks = 1; location; looks += 1) {
    const found = await look(location).catch((error: unknown) => {
      if (codeOf(error) !== 'node_unavailable') throw error;
      return new Away(error);
    });
    if (found !== null && !(found instanceof Away)) return found;
    const current: Location | null | undefined = looks < LOOKS ? (await uploads.find(upload.id))?.location : location;
    if (current && (current.key !== location.key || current.node !== location.node)) location = current;
    else if (found instanceof Away) throw found.error;
    else return null;
  }
  return null;
}

class Away {
  readonly error: unknown;

  constructor(error: unknown) {
    this.error = error;
  }
}
