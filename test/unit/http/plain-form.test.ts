import { Readable } from 'node:stream';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Context } from 'koa';
import { isWindlassError } from '../../../src/errors.ts';
import { type FormAnnouncement, receiveForm } from '../../../src/http/receive/form.ts';
import type { TakenForm } from '../../../src/http/receive/form-file.ts';
import { FormReader } from '../../../src/http/receive/form-reader.ts';
import { plainBeginning } from '../../../src/http/receive/plain-form.ts';
import type { DiskFile } from '../../../src/ports/disk.ts';
import { type FormPart, form } from '../../support/form.ts';

const BOUNDARY = 'bo-und';
const DELIMITER = `\r\n--${BOUNDARY}`;
const ANNOUNCED: FormAnnouncement = { kind: 'form', boundary: BOUNDARY, length: null };
const LIMITS = { fieldBytes: 200, allowedTypes: undefined };
const PROGRESS = { idleMs: 5000, minBytesPerSecond: 0 };

class KeptFile implements DiskFile {
  readonly key = 'file';
  readonly chunks: Buffer[] = [];
  discarded = false;

  get size(): number {
    return this.bytes().length;
  }
  bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }
  async write(chunks: readonly Uint8Array[]): Promise<void> {
    this.chunks.push(...chunks.map((chunk) => Buffer.from(chunk)));
  }
  async commit(): Promise<void> {}
  async discard(): Promise<void> {
    this.discarded = true;
  }
}

interface Outcome {
  taken?: Omit<TakenForm, 'file'>;
  bytes?: string;
  problem?: { code: string; detail: string; errors: unknown };
}

/** As a request's chunks come: each all of its buffer, which is given back once the chunk has been read. */
const ownBuffer = (chunk: Buffer): Buffer => Buffer.from(Uint8Array.from(chunk).buffer);

/** What becomes of a form that comes in these chunks, by `read`. */
async function outcome(
  chunks: readonly Buffer[],
  read: 'at best' | 'by the parser',
  source = Readable.from(chunks.map(ownBuffer), { objectMode: false }),
): Promise<Outcome> {
  const body = Object.assign(source, {
    headers: { 'content-type': `multipart/form-data; boundary=${BOUNDARY}`, 'transfer-encoding': 'chunked' },
  });
  const ctx = { req: body, res: {} } as unknown as Context;
  const file = new KeptFile();
  const intake = { open: async () => file, maxBytes: 100_000, onBytes: () => undefined };
  try {
    const reading =
      read === 'at best'
        ? receiveForm(ctx, ANNOUNCED, intake, LIMITS, PROGRESS)
        : new FormReader(ANNOUNCED, intake, LIMITS).read(body, ctx);
    const { file: _, ...taken } = await reading;
    return { taken, bytes: file.bytes().toString('latin1') };
  } catch (error) {
    if (!isWindlassError(error)) throw error;
    expect(file.chunks.length === 0 || file.discarded).toBe(true);
    return { problem: { code: error.code, detail: error.detail, errors: error.extras.errors } };
  }
}

const cut = (bytes: Buffer, places: readonly number[]): Buffer[] => {
  const at = [0, ...new Set(places.map((place) => place % (bytes.length + 1))), bytes.length].sort((a, b) => a - b);
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end));
};

const content = fc
  .array(fc.oneof(fc.constantFrom('\r', '\n', '\r\n', '--', '\r\n--', '\r\n--bo', '\r\r\n--bo-', 'bo-und', '\x89PNG', 'x'), fc.string()), {
    maxLength: 12,
  })
  .map((pieces) => pieces.join('').replaceAll(DELIMITER, ''))
  .filter((text) => !`${text}${DELIMITER}`.slice(0, -1).includes(DELIMITER));

const field: fc.Arbitrary<FormPart> = fc.record({
  name: fc.constantFrom('resourceType', 'resourceId', 'metadata', 'sha256', 'colour', 'file', 'Sha256', '__proto__', 'a'.repeat(65)),
  value: fc.constantFrom('post', '42', '{"a":"ö"}', '{', '', 'v'.repeat(201), 'a'.repeat(64)),
});
const disposition = fc.constantFrom(
  'Content-Disposition: form-data; name="file"; filename="a.bin"',
  'content-disposition: form-data; name="file"; filename="a.bin"',
  'Content-Disposition: form-data; name=file; filename=a.bin',
  'Content-Disposition: form-data; filename="a.bin"; name="file"',
  'Content-Disposition: form-data; name="file"; filename="катя 😀.txt"',
  'Content-Disposition: form-data; name="file"; filename="a%22b.txt"',
  'Content-Disposition: form-data; name="file"; filename="C:\\\\a\\\\b.txt"',
  'Content-Disposition: form-data; name="file"; filename="../../b.txt"',
  'Content-Disposition: form-data; name="file"; filename="."',
  'Content-Disposition: form-data; name="file"; filename=""',
  'Content-Disposition: form-data; name="other"; filename="a.bin"',
  'Content-Disposition: form-data; name="file"; filename*=UTF-8\'\'b.txt',
);
const type = fc.constantFrom(
  null,
  'Content-Type: application/octet-stream',
  'Content-Type: Image/PNG',
  'Content-Type: text/plain',
  'Content-Type: text/plain; charset=utf-8',
  'Content-Type: nonsense',
  'X-Other: a',
);
const file = fc.record({ disposition, type, value: content }).map(
  ({ disposition: first, type: second, value }): FormPart => ({
    name: 'file',
    value: Buffer.from(value, 'latin1'),
    headers: second === null ? [first] : [first, second],
  }),
);
const wellOrdered = fc
  .tuple(fc.uniqueArray(field, { maxLength: 4, selector: ({ name }) => name }), file)
  .map(([before, one]) => [...before, one]);
const places = fc.array(fc.nat(), { maxLength: 6 });

test('a form read plainly gives what its parser would, right or wrong, however it is cut', async () => {
  await fc.assert(
    fc.asyncProperty(wellOrdered, places, async (parts, cuts) => {
      const chunks = cut(form(parts, BOUNDARY).body, cuts);
      expect(await outcome(chunks, 'at best')).toEqual(await outcome(chunks, 'by the parser'));
    }),
    { numRuns: 400 },
  );
});

test('nor does either take a part behind the file', async () => {
  await fc.assert(
    fc.asyncProperty(wellOrdered, fc.oneof(field, file), places, async (parts, behind, cuts) => {
      const chunks = cut(form([...parts, behind], BOUNDARY).body, cuts);
      for (const read of ['at best', 'by the parser'] as const) expect(await outcome(chunks, read)).toHaveProperty('problem');
    }),
    { numRuns: 200 },
  );
});

test.each(['a.bin', 'a%22.bin'])('a body that is gone right after its first bytes fails the form of %s', async (filename) => {
  const { body } = form([{ name: 'file', filename, value: 'bytes' }], BOUNDARY);
  const goes = new Readable({
    read() {
      this.push(body.subarray(0, -10));
      process.nextTick(() => this.destroy(new Error('gone')));
    },
  });
  expect((await outcome([], 'at best', goes)).problem?.code).toBe('aborted');
});

describe('what is read plainly', () => {
  const begins = (written: FormPart[]): boolean => plainBeginning(form(written, BOUNDARY).body, BOUNDARY, 200) !== null;
  const plain: FormPart = { name: 'file', filename: 'a.bin', type: 'application/octet-stream', value: 'x' };

  test.each<[string, FormPart[], boolean]>([
    ['a file', [plain], true],
    ['a file without a type', [{ name: 'file', filename: 'катя.bin', value: 'x' }], true],
    ['fields and a file', [{ name: 'resourceType', value: 'post' }, { name: 'resourceId', value: '42' }, plain], true],
    ['a name in need of decoding', [{ ...plain, filename: 'a%22.bin' }], false],
    ['a type with parameters', [{ ...plain, type: 'text/plain; charset=utf-8' }], false],
    ['a field that is not known', [{ name: 'colour', value: 'red' }, plain], false],
    ['a field with a type', [{ name: 'metadata', value: '{}', type: 'application/json' }, plain], false],
    ['no file', [{ name: 'metadata', value: '{}' }], false],
  ])('%s: %#', (_, written, expected) => {
    expect(begins(written)).toBe(expected);
  });
});

describe('behind the file', () => {
  const { body } = form([{ name: 'file', filename: 'a.bin', value: 'bytes' }], BOUNDARY);
  const end = body.lastIndexOf('--\r\n');

  test.each([
    ['nothing', body.subarray(0, body.indexOf(DELIMITER)), 'invalid_request'],
    ['a delimiter only', body.subarray(0, end), 'invalid_request'],
    ['something else than an end', Buffer.concat([body.subarray(0, end), Buffer.from('x\r\n')]), 'invalid_request'],
    ['more than fields could be', Buffer.concat([body, Buffer.alloc(3 * 1024 * 1024)]), 'too_large'],
  ])('%s is refused', async (_, bytes, code) => {
    const chunks = cut(bytes, [body.length]);
    expect((await outcome(chunks, 'at best')).problem?.code).toBe(code);
  });

  test('an epilogue is passed over', async () => {
    expect(await outcome([body, Buffer.from('\r\nthe end')], 'at best')).toMatchObject({ taken: { size: 5 }, bytes: 'bytes' });
  });
});
