import { describe, expect, test } from '@jest/globals';
import { supportedMimeTypes } from 'file-type';
import { contradicts, essence, isAllowed, isTelling } from '../../../src/core/content-type.ts';

test('the essence of a type is without parameters, in lower case', () => {
  expect(essence('Text/HTML ; charset=UTF-8')).toBe('text/html');
});

describe('allowed types', () => {
  test.each([
    ['image/png', undefined, true],
    ['image/png', ['image/png'], true],
    ['IMAGE/PNG; a=b', ['image/png'], true],
    ['image/jpg', ['image/jpeg'], true],
    ['image/webp', ['image/*'], true],
    ['text/plain', ['image/*', 'application/pdf'], false],
    ['imagex/png', ['image/*'], false],
    ['image/png', [], false],
  ])('%s among %j: %s', (type, allowed, expected) => {
    expect(isAllowed(type, allowed)).toBe(expected);
  });
});

describe('first bytes against the declared type', () => {
  const OOXML = 'application/vnd.openxmlformats-officedocument.wordprocessingml.document';
  const XLSX = 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet';

  test.each([
    ['image/png', null],
    ['application/octet-stream', 'application/x-elf'],
    ['image/png; a=b', 'image/png'],
    ['image/jpg', 'image/jpeg'],
    ['image/pjpeg', 'image/jpeg'],
    ['application/x-zip-compressed', 'application/zip'],
    ['audio/x-wav', 'audio/wav'],
    ['audio/mp3', 'audio/mpeg'],
    ['video/x-msvideo', 'video/vnd.avi'],
    ['video/x-matroska', 'video/matroska'],
    ['text/xml', 'application/xml'],
    ['application/vnd.rar', 'application/x-rar-compressed'],
    ['application/x-executable', 'application/x-elf'],
    [OOXML, 'application/zip'],
    ['application/zip', OOXML],
    ['application/vnd.oasis.opendocument.text', 'application/zip'],
    ['application/epub+zip', 'application/zip'],
    ['application/java-archive', 'application/zip'],
    ['application/vnd.android.package-archive', 'application/java-archive'],
    ['application/vnd.acme.thing+zip', 'application/zip'],
    ['application/vnd.apple.pkpass', 'application/zip'],
    ['application/msword', 'application/x-cfb'],
    ['application/vnd.ms-excel', 'application/x-cfb'],
    ['application/vnd.ms-excel', XLSX],
    ['image/svg+xml', 'application/xml'],
    ['application/rss+xml', 'application/xml'],
    ['text/html', 'application/xml'],
    ['image/svg+xml', 'application/gzip'],
    ['application/x-tar', 'application/gzip'],
    ['application/x-tgz', 'application/gzip'],
    ['video/mp4', 'video/quicktime'],
    ['audio/x-m4a', 'video/mp4'],
    ['audio/mp4', 'audio/x-m4a'],
    ['video/3gpp', 'video/mp4'],
    ['audio/ogg', 'application/ogg'],
    ['video/ogg', 'audio/ogg; codecs=opus'],
    ['audio/webm', 'video/webm'],
    ['video/webm', 'video/matroska'],
    ['audio/x-ms-wma', 'application/vnd.ms-asf'],
    ['image/heic', 'image/heif'],
    ['image/x-adobe-dng', 'image/tiff'],
    ['application/geopackage+sqlite3', 'application/x-sqlite3'],
    ['application/illustrator', 'application/pdf'],
    ['application/json', 'text/vcard'],
    ['text/plain', 'application/rtf'],
    ['text/calendar', 'text/vcard'],
    ['application/x-something-of-ours', 'application/zip'],
    ['application/x-something-of-ours', 'image/png'],
    ['chemical/x-pdb', 'application/gzip'],
    ['image/x-something', 'image/tiff'],
  ])('%s does not contradict %s', (declared, detected) => {
    expect(contradicts(declared, detected)).toBe(false);
  });

  test.each([
    ['image/png', 'image/jpeg'],
    ['image/jpeg', 'application/pdf'],
    ['image/jpeg', 'application/zip'],
    ['image/x-something', 'video/mp4'],
    ['image/png', 'application/x-msdownload'],
    ['image/svg+xml', 'image/png'],
    ['text/plain', 'image/png'],
    ['text/csv', 'application/x-elf'],
    ['application/json', 'application/zip'],
    ['text/html', 'application/x-mach-binary'],
    ['application/pdf', 'application/zip'],
    ['application/pdf', 'image/png'],
    ['application/zip', 'application/pdf'],
    [OOXML, 'application/pdf'],
    ['application/msword', 'image/png'],
    ['video/mp4', 'video/webm'],
    ['video/mp4', 'image/png'],
    ['audio/mpeg', 'audio/ogg'],
    ['audio/wav', 'application/x-msdownload'],
    ['application/gzip', 'application/x-7z-compressed'],
  ])('%s contradicts %s', (declared, detected) => {
    expect(contradicts(declared, detected)).toBe(true);
  });

  test.each(['application/octet-stream', 'Application/Octet-Stream; x=y', 'application/x-something-of-ours', 'chemical/x-pdb', 'nonsense'])(
    'first bytes tell nothing about %s',
    (declared) => {
      expect(isTelling(declared)).toBe(false);
      for (const detected of supportedMimeTypes) expect([detected, contradicts(declared, detected)]).toEqual([detected, false]);
    },
  );

  test.each([
    'image/png',
    'IMAGE/PNG; q=1',
    'image/x-something',
    'text/plain; charset=utf-8',
    'application/pdf',
    'application/json',
    OOXML,
  ])('first bytes may contradict %s', (declared) => {
    expect(isTelling(declared)).toBe(true);
  });

  test('no type that can be recognised contradicts itself', () => {
    for (const type of supportedMimeTypes) expect([type, contradicts(type, type)]).toEqual([type, false]);
  });
});
