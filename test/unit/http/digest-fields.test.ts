import { expect, test } from '@jest/globals';
import { digestField, parseContentDigest } from '../../../src/http/digest-fields.ts';

/** SHA-256 of "hello". */
const HEX = '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824';
const FIELD = 'sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:';

test('the field of a digest is written as RFC 9530 has it, and read back', () => {
  expect(digestField(HEX)).toBe(FIELD);
  expect(parseContentDigest(FIELD)).toBe(HEX);
});

test.each([
  [undefined, null],
  [`sha-512=:AAAA:, ${FIELD}`, HEX],
  [`${FIELD};q=1`, HEX],
  ['md5=:AAAA:', null],
])('%j gives %j', (header, expected) => {
  expect(parseContentDigest(header)).toBe(expected);
});

test.each(['', 'sha-256', `sha-256=${HEX}`, 'sha-256=:AAAA:', 'sha-256=:!!:', `${FIELD},`, 'SHA-256=LPJNul+wow4='])(
  '%j is malformed',
  (header) => {
    expect(() => parseContentDigest(header)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  },
);
