import { Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { FormSplitter } from '../../../src/http/receive/form-splitter.ts';
import { PartHeads } from '../../../src/http/receive/part-heads.ts';

const BOUNDARY = 'bo-und';
const DELIMITER = `\r\n--${BOUNDARY}`;
const BEFORE = `--${BOUNDARY}\r\nContent-Disposition: form-data; name="a"\r\n\r\nv\r\n\r\nw${DELIMITER}\r\nContent-Disposition: form-data; name="file"; filename="y"\r\n\r\n`;
const BEHIND = `${DELIMITER}--\r\n`;

/** A form cut into chunks; what its parser gets, and the file. */
async function split(bytes: Buffer, cuts: readonly number[]): Promise<{ parsed: string; file: Buffer; errors: Error[] }> {
  const parsed: Buffer[] = [];
  const errors: Error[] = [];
  const parser = new Writable({
    write(chunk: Buffer, _encoding, done) {
      parsed.push(chunk);
      if (chunk.equals(Buffer.from('x'))) splitter.confirmFile();
      done();
    },
  });
  const onError = (error: Error): void => void errors.push(error);
  const splitter = new FormSplitter({ parser, boundary: BOUNDARY, heads: new PartHeads(BOUNDARY), onError });
  const file = buffer(splitter.file);
  const places = [0, ...new Set(cuts.map((cut) => cut % bytes.length)), bytes.length].sort((a, b) => a - b);
  for (const [index, place] of places.slice(1).entries()) splitter.write(bytes.subarray(places[index], place));
  splitter.end();
  return { file: await file, parsed: Buffer.concat(parsed).toString('latin1'), errors };
}

/** Bytes that are full of what a delimiter is made of. */
const content = fc
  .array(
    fc.oneof(fc.constantFrom('\r', '\n', '\r\n', '--', '\r\n--', '\r\n--bo', '\r\n--bo-un', '\r\r\n--bo-', 'bo-und', 'x'), fc.string()),
    {
      maxLength: 20,
    },
  )
  .map((pieces) => pieces.join('').replaceAll(DELIMITER, ''))
  .filter((text) => !`${text}${DELIMITER}`.slice(0, -1).includes(DELIMITER));

test('however a form is cut, the file comes out as it went in, and the parser gets everything else', async () => {
  await fc.assert(
    fc.asyncProperty(content, fc.array(fc.nat(), { maxLength: 30 }), async (text, cuts) => {
      const { file, parsed, errors } = await split(Buffer.from(BEFORE + text + BEHIND), cuts);
      expect(errors).toEqual([]);
      expect(file.toString()).toBe(text);
      expect(parsed).toBe(`${BEFORE}x${BEHIND}`);
    }),
    { numRuns: 500 },
  );
});

test('a form that ends in the middle of its file fails the file', async () => {
  await expect(split(Buffer.from(`${BEFORE}some bytes`), [])).rejects.toThrow('ends in the middle');
});

test('a parser that takes for a field what has a file name is found out', async () => {
  const text = BEFORE.replace('name="file"; filename="y"', 'name="a; filename=b"');
  const errors: Error[] = [];
  const parser = new Writable({ write: (_chunk, _encoding, done) => done() });
  const heads = new PartHeads(BOUNDARY);
  new FormSplitter({ parser, boundary: BOUNDARY, heads, onError: (error) => errors.push(error) }).write(Buffer.from(text));
  expect(errors).toHaveLength(1);
});
