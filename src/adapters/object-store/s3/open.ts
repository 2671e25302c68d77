import { connectS3, type S3Options } from './connection.ts';
import { S3Presigner } from './presigner.ts';
import type { ProvisionTerms } from './provision.ts';
import { S3ObjectStore } from './store.ts';

/** The store and its presigner on one set of clients. Sends nothing. */
export function openS3(options: S3Options, { clock, provisioning }: { clock: () => number; provisioning: ProvisionTerms }) {
  const connection = connectS3(options);
  return {
    store: new S3ObjectStore({ connection, clock, provisioning }),
    presigner: new S3Presigner({ connection, clock }),
    close: () => connection.close(),
  };
}
