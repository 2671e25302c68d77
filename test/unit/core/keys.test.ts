import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { copyKeyOf, diskKeyOf, isSameFile, isTenant, isUploadId, type KeyArea, keyOf, parseKey } from '../../../src/core/keys.ts';

const area = fc.constantFrom<KeyArea[]>('files', 'staging', 'spool', 'backups');
const tenant = fc.stringMatching(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/);
const uploadId = fc.uuid({ version: 7 });
const ID = '0199f7a0-1c2e-7d3a-8b4c-5d6e7f809102';
/** Every key that an upload may have in an area. */
const keysOf = (a: KeyArea, t: string, id: string): string[] => [
  keyOf(a, t, id),
  ...(a === 'files' || a === 'spool' ? [diskKeyOf(a, t, id)] : []),
];
const validKey = fc.tuple(area, tenant, uploadId).chain(([a, t, id]) => fc.constantFrom(...keysOf(a, t, id)));

/** Pieces that break out of folders, patterns or addresses, mixed with well-formed ones. */
const hostilePiece = fc.constantFrom(
  '..',
  '.',
  '/',
  '\\',
  '\0',
  '%2e%2e',
  '%2F',
  '\n',
  ' ',
  '*',
  '~',
  '$',
  '\u202e',
  'ａ',
  'A',
  '-',
  'acme',
  '',
);
const hostile = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.array(hostilePiece, { maxLength: 6 }).map((pieces) => pieces.join('')),
  fc.tuple(tenant, hostilePiece).map((pieces) => pieces.join('')),
  fc.tuple(hostilePiece, uploadId).map((pieces) => pieces.join('')),
  fc.tuple(uploadId, hostilePiece).map((pieces) => pieces.join('')),
  uploadId.map((id) => id.toUpperCase()),
  fc.uuid({ version: 4 }),
);
const SAFE_KEY = /^(?:files|staging|spool|backups)\/[a-z0-9-]{1,64}\/[0-9a-f]{2}\/[0-9a-f-]{36}$/;

describe('keys', () => {
  test('name area, tenant, the end of the id, and the id', () => {
    expect(keyOf('spool', 'acme', '01993e6c-7d1e-7c3a-9b0a-3f5d2c1b0a99')).toBe('spool/acme/99/01993e6c-7d1e-7c3a-9b0a-3f5d2c1b0a99');
  });

  test('on a disk name digits of the time instead, which files that arrive together share', () => {
    const [first, soonAfter, later] = ['01993e6c-7d1e', '01993e6c-7dff', '01993e6c-7e00'].map((time) =>
      diskKeyOf('files', 'acme', `${time}-7c3a-9b0a-3f5d2c1b0a99`),
    );
    expect(first).toBe('files/acme/7d/01993e6c-7d1e-7c3a-9b0a-3f5d2c1b0a99');
    expect([soonAfter, later]).toEqual([expect.stringContaining('/7d/'), expect.stringContaining('/7e/')]);
  });

  test('can be parsed', () => {
    fc.assert(
      fc.property(area, tenant, uploadId, (a, t, id) => {
        for (const key of keysOf(a, t, id)) expect(parseKey(key)).toEqual({ area: a, tenant: t, id });
      }),
    );
  });

  test('are all that can be parsed: a key with one character changed is another valid key or none', () => {
    fc.assert(
      fc.property(validKey, fc.nat(), fc.oneof(hostilePiece, fc.string({ unit: 'binary', maxLength: 2 })), (key, position, piece) => {
        const i = position % (key.length + 1);
        const changed = key.slice(0, i) + piece + key.slice(i + 1);
        const parsed = parseKey(changed);
        if (parsed) expect(keysOf(parsed.area, parsed.tenant, parsed.id)).toContain(changed);
      }),
      { numRuns: 2_000 },
    );
  });

  test('whatever is asked for, a key has four safe parts or is refused', () => {
    fc.assert(
      fc.property(area, fc.oneof(tenant, hostile), fc.oneof(uploadId, hostile), (a, t, id) => {
        if (isTenant(t) && isUploadId(id)) for (const key of keysOf(a, t, id)) expect(key).toMatch(SAFE_KEY);
        else for (const make of [() => keyOf(a, t, id), () => diskKeyOf('files', t, id)]) expect(make).toThrow(RangeError);
      }),
      { numRuns: 2_000 },
    );
  });

  test('text that keyOf did not make is no key', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(hostile, tenant, uploadId, area), { maxLength: 6 }), (pieces) => {
        const text = pieces.join('/');
        const parsed = parseKey(text);
        if (parsed) expect(keysOf(parsed.area, parsed.tenant, parsed.id)).toContain(text);
      }),
      { numRuns: 2_000 },
    );
  });

  test.each([['..'], ['a/b'], ['a\\b'], ['-a'], ['a-'], ['A'], ['a.b'], ['a\n'], ['a\0'], [''], ['a'.repeat(65)]])(
    '%j is no tenant',
    (text) => {
      expect(isTenant(text)).toBe(false);
    },
  );

  test.each([
    ['files/acme/99/01993e6c-7d1e-7c3a-9b0a-3f5d2c1b0a99/'],
    ['/files/acme/99/01993e6c-7d1e-7c3a-9b0a-3f5d2c1b0a99'],
    ['staging/acme/7d/01993e6c-7d1e-7c3a-9b0a-3f5d2c1b0a99'],
    ['files/acme/98/01993e6c-7d1e-7c3a-9b0a-3f5d2c1b0a99'],
    ['files/../99/01993e6c-7d1e-7c3a-9b0a-3f5d2c1b0a99'],
    ['other/acme/99/01993e6c-7d1e-7c3a-9b0a-3f5d2c1b0a99'],
    ['files/acme/99/01993e6c-7d1e-4c3a-9b0a-3f5d2c1b0a99'],
    ['files/acme/99/01993E6C-7d1e-7c3a-9b0a-3f5d2c1b0a99'],
    ['files/acme/99/01993e6c-7d1e-7c3a-9b0a-3f5d2c1b0a99\n'],
  ])('%j is no key', (text) => {
    expect(parseKey(text)).toBeNull();
  });
});

describe('the name of a copy', () => {
  const mark = fc.stringMatching(/^[0-9a-f]{12}$/);
  const file = fc.tuple(tenant, uploadId).map(([t, id]) => diskKeyOf('files', t, id));

  test('belongs to the same upload, and a copy of a copy does too', () => {
    fc.assert(
      fc.property(file, mark, mark, (key, first, second) => {
        const copy = copyKeyOf(key, first);
        expect(copy).not.toBe(key);
        expect(parseKey(copy)).toEqual(parseKey(key));
        expect(copyKeyOf(copy, second)).toBe(copyKeyOf(key, second));
        expect(isSameFile(copy, key) && isSameFile(copy, copyKeyOf(key, second))).toBe(true);
      }),
    );
  });

  test('is that of a direct file, and its mark is well-formed', () => {
    const [key, spooled] = [diskKeyOf('files', 'acme', ID), diskKeyOf('spool', 'acme', ID)];
    for (const wrong of ['', '0', '00000000000g', '0000000000000', '../0000000000', 'ABCDEF012345'])
      expect(() => copyKeyOf(key, wrong)).toThrow(RangeError);
    expect(() => copyKeyOf(spooled, '0123456789ab')).toThrow(RangeError);
    for (const strange of [`${spooled}~0123456789ab`, `${key}~`, `${key}~0123456789ab~0123456789ab`, `${key}.0123456789ab`])
      expect(parseKey(strange)).toBeNull();
  });
});
