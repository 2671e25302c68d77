import { openDiskStore } from '../support/disk-store-server.ts';
import { describeObjectStore } from './object-store.ts';

const open = (options: Parameters<typeof openDiskStore>[0]) => async () => {
  const { store, presigner, clock, close } = await openDiskStore(options);
  return {
    store,
    close,
    async uploadPart(key: string, multipartId: string, partNumber: number, bytes: Buffer) {
      const { url, headers } = await presigner.part({ key, multipartId, partNumber, size: bytes.length, expiresAt: clock() + 60_000 });
      const answer = await fetch(url, { method: 'PUT', headers, body: new Uint8Array(bytes) });
      if (!answer.ok) throw new Error(`the part was answered ${answer.status}: ${await answer.text()}`);
      return answer.headers.get('ETag') ?? '';
    },
  };
};

describeObjectStore('disk', open({}));
describeObjectStore(
  'disk without hard links',
  open({ hardLink: () => Promise.reject(Object.assign(new Error('no links here'), { code: 'EPERM' })) }),
);
