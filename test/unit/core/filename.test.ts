import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { cleanFilename } from '../../../src/core/filename.ts';

test.each([
  ['cat.jpg', 'cat.jpg'],
  ['../../etc/passwd', 'passwd'],
  ['C:\\Users\\me\\cat.jpg', 'cat.jpg'],
  ['mixed/path\\cat.jpg', 'cat.jpg'],
  ['', 'upload'],
  ['.', 'upload'],
  ['..', 'upload'],
  ['folder/', 'upload'],
  ['  cat.jpg\t', 'cat.jpg'],
  ['cat\r\nSet-Cookie: a=b.jpg', 'catSet-Cookie: a=b.jpg'],
  ['invoice\u202egpj.exe', 'invoicegpj.exe'],
  ['cafe\u0301.txt', 'caf\u00e9.txt'],
  ['猫.jpg', '猫.jpg'],
  ['👩‍👩‍👧.png', '👩‍👩‍👧.png'],
  ['.env', '.env'],
])('%j becomes %j', (name, expected) => {
  expect(cleanFilename(name)).toBe(expected);
});

test('a name that is too long is cut between two characters', () => {
  const cut = cleanFilename('猫'.repeat(100));
  expect(cut).toBe('猫'.repeat(85));
  expect(cleanFilename(`a${'😀'.repeat(100)}`)).toBe(`a${'😀'.repeat(63)}`);
});

test('whatever the name, it has 1 to 255 bytes, no path, no control characters, and stays as it is when cleaned again', () => {
  const names = fc.oneof(fc.string({ unit: 'binary', maxLength: 400 }), fc.string({ unit: 'grapheme', maxLength: 300 }), fc.string());
  fc.assert(
    fc.property(names, (name) => {
      const clean = cleanFilename(name);
      const bytes = Buffer.byteLength(clean);
      expect(bytes).toBeGreaterThan(0);
      expect(bytes).toBeLessThanOrEqual(255);
      expect(clean).not.toMatch(/[/\\\p{Cc}\p{Cs}\u202a-\u202e\u2066-\u2069]/u);
      expect(['.', '..']).not.toContain(clean);
      expect(clean.isWellFormed()).toBe(true);
      expect(cleanFilename(clean)).toBe(clean);
    }),
  );
});
