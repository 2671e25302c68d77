import { expect, test } from '@jest/globals';
import { sniff } from '../../src/sniff.ts';

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

test.each([
  ['\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01', 'image/png'],
  ['\xff\xd8\xff\xe0\0\x10JFIF\0', 'image/jpeg'],
  ['GIF89a', 'image/gif'],
  ['%PDF-1.7\n', 'application/pdf'],
  ['MZ\x90\0\x03\0\0\0', 'application/x-msdownload'],
  ['<?xml version="1.0"?><svg/>', 'application/xml'],
])('%j is recognised as %s', async (head, type) => {
  expect(await sniff(bytes(head))).toBe(type);
});

test.each(['', 'hello', 'BM is a town', 'MZ, she wrote', 'MAC address,vendor', 'GIF or JPEG?', 'ID3 tags', 'II\tcolumn', '\u732b'])(
  'the text %j is not taken for anything',
  async (text) => {
    expect(await sniff(Buffer.from(text))).toBeNull();
  },
);

test('a text cut in the middle of a character is still a text', async () => {
  expect(await sniff(Buffer.from('BM 猫').subarray(0, -1))).toBeNull();
});

test.each(['\x1f\x8b', '\0\0\0\x18ftyp', 'OggS\0', '\x89PNG\r\n\x1a\n\0\0'])('a header that breaks off (%j) is no error', async (head) => {
  expect(await sniff(bytes(head))).toBeNull();
});
