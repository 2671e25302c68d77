import { expect, test } from '@jest/globals';
import type { Location, Upload } from '../../../src/core/upload.ts';
import { WindlassError } from '../../../src/errors.ts';
import { followMoves } from '../../../src/strategies/follow-moves.ts';
import { uploadRecord } from '../../support/upload-record.ts';

const at = (node: string): Upload =>
  uploadRecord({
    id: '0199f7a0-1c2e-7d3a-8b4c-5d6e7f809102',
    strategy: 'direct',
    location: { store: 'disk', bucket: null, key: `files/${node}`, node },
  });
const away = new WindlassError('node_unavailable', 'nobody answers');

/** Records as they are, one after the other, each time they are read; bytes on one server only. */
function world(records: (Upload | null)[], there: string, unreachable: string[] = []) {
  const asked: (string | null)[] = [];
  const find = async (): Promise<Upload | null> => (records.length > 1 ? records.shift() : records[0]) ?? null;
  const look = async ({ node }: Location): Promise<string | null> => {
    asked.push(node);
    if (unreachable.includes(node ?? '')) throw away;
    return node === there ? 'bytes' : null;
  };
  return { asked, uploads: { find }, look };
}

test('what is where the record says is found without reading the record again', async () => {
  const { asked, look } = world([], 'api-0');
  const uploads = { find: () => Promise.reject(new Error('it was read')) };
  expect(await followMoves(uploads, at('api-0'), look)).toBe('bytes');
  expect(asked).toEqual(['api-0']);
});

test('what was moved meanwhile is found where it is now, also when the old server has gone', async () => {
  const once = world([at('api-1')], 'api-1');
  expect(await followMoves(once.uploads, at('api-0'), once.look)).toBe('bytes');
  const twice = world([at('api-1'), at('api-2')], 'api-2', ['api-0']);
  expect(await followMoves(twice.uploads, at('api-0'), twice.look)).toBe('bytes');
  expect(twice.asked).toEqual(['api-0', 'api-1', 'api-2']);
});

test('what is nowhere is null, and what is out of reach says so', async () => {
  const lost = world([at('api-0')], 'nowhere');
  expect(await followMoves(lost.uploads, at('api-0'), lost.look)).toBeNull();
  const purged = world([null], 'nowhere');
  expect(await followMoves(purged.uploads, at('api-0'), purged.look)).toBeNull();
  const unreachable = world([at('api-0')], 'api-0', ['api-0']);
  await expect(followMoves(unreachable.uploads, at('api-0'), unreachable.look)).rejects.toBe(away);
});

test('one that moves on and on is not followed for ever', async () => {
  const { asked, uploads, look } = world(
    Array.from({ length: 100 }, (_, n) => at(`api-${n + 1}`)),
    'nowhere',
  );
  expect(await followMoves(uploads, at('api-0'), look)).toBeNull();
  expect(asked).toHaveLength(5);
});

test('other errors are passed on as they are', async () => {
  const error = new Error('EIO');
  await expect(followMoves(world([], '').uploads, at('api-0'), () => Promise.reject(error))).rejects.toBe(error);
});
