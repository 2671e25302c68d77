/** Media types as clients declare them, and what the first bytes of a file say about that. */

export const OCTET_STREAM = 'application/octet-stream';

/** Other names of one type → the name that the tables below use. */
const ALIASES: Readonly<Record<string, string>> = {
  'image/jpg': 'image/jpeg',
  'image/pjpeg': 'image/jpeg',
  'image/x-png': 'image/png',
  'image/x-bmp': 'image/bmp',
  'image/x-ms-bmp': 'image/bmp',
  'image/vnd.microsoft.icon': 'image/x-icon',
  'image/x-photoshop': 'image/vnd.adobe.photoshop',
  'application/x-photoshop': 'image/vnd.adobe.photoshop',
  'application/x-zip': 'application/zip',
  'application/x-zip-compressed': 'application/zip',
  'application/x-gzip': 'application/gzip',
  'application/x-bzip': 'application/x-bzip2',
  'application/bzip2': 'application/x-bzip2',
  'application/x-zstd': 'application/zstd',
  'application/x-rar': 'application/x-rar-compressed',
  'application/vnd.rar': 'application/x-rar-compressed',
  'application/x-pdf': 'application/pdf',
  'application/x-rtf': 'application/rtf',
  'text/rtf': 'application/rtf',
  'text/xml': 'application/xml',
  'application/vnd.sqlite3': 'application/x-sqlite3',
  'application/x-java-class': 'application/java-vm',
  'application/x-executable': 'application/x-elf',
  'application/x-pie-executable': 'application/x-elf',
  'application/x-sharedlib': 'application/x-elf',
  'application/x-object': 'application/x-elf',
  'application/vnd.microsoft.portable-executable': 'application/x-msdownload',
  'application/x-dosexec': 'application/x-msdownload',
  'application/x-ms-dos-executable': 'application/x-msdownload',
  'application/x-msdos-program': 'application/x-msdownload',
  'application/vnd.debian.binary-package': 'application/x-deb',
  'application/x-debian-package': 'application/x-deb',
  'audio/x-wav': 'audio/wav',
  'audio/wave': 'audio/wav',
  'audio/vnd.wave': 'audio/wav',
  'audio/mp3': 'audio/mpeg',
  'audio/x-mp3': 'audio/mpeg',
  'audio/x-mpeg': 'audio/mpeg',
  'audio/x-flac': 'audio/flac',
  'audio/x-aiff': 'audio/aiff',
  'audio/mid': 'audio/midi',
  'audio/x-midi': 'audio/midi',
  'video/avi': 'video/vnd.avi',
  'video/msvideo': 'video/vnd.avi',
  'video/x-msvideo': 'video/vnd.avi',
  'video/x-matroska': 'video/matroska',
  'audio/x-matroska': 'audio/matroska',
};

/** Types that share a container or a signature: the first bytes cannot tell them apart, or only sometimes. */
const FAMILIES: readonly RegExp[] = [
  /^application\/(?:zip|java-archive|x-java-archive|x-xpinstall|x-cbz|x-ipynb|vnd\.(?:ms-|openxmlformats|oasis\.|sun\.xml|android\.package|google-earth\.kmz|visio|apple\.).*|.*\+zip)$|^model\/3mf$|^image\/openraster$/,
  /^application\/(?:x-cfb|msword|x-msi|x-ole-storage|x-hwp|vnd\.(?:ms-|visio).*)$|^image\/vnd\.fpx$/,
  /^(?:application|image|text|model)\/(?:xml|html|.*\+xml|vnd\.google-earth\.kml)$/,
  /^application\/(?:gzip|x-tar|x-gtar|x-tgz|x-compressed.*|.*\+gzip)$|^image\/svg\+xml$|^image\/x-emz$|^image\/x-wmz$/,
  /^application\/(?:x-tar|x-gtar|x-ustar|.*\+tar)$/,
  /^application\/(?:x-sqlite3|.*\+sqlite3?)$/,
  /^application\/(?:x-deb|x-unix-archive|x-archive)$/,
  /^application\/(?:pdf|illustrator|vnd\.adobe\.illustrator)$/,
  /^application\/(?:postscript|eps|illustrator|x-eps)$|^image\/(?:x-)?eps$/,
  /^(?:video\/(?:mp4|quicktime|x-m4v|3gpp2?|iso\.segment|mj2)|audio\/(?:mp4|m4a|x-m4a|x-m4b|3gpp2?|aac|x-aac|aacp)|application\/mp4|image\/x-canon-cr3)$/,
  /^(?:application|audio|video)\/(?:ogg|opus|vorbis|speex|x-.*\+ogg)$/,
  /^(?:audio|video)\/(?:matroska|matroska-3d|webm)$/,
  /^(?:application\/vnd\.ms-asf|(?:audio|video)\/x-ms-(?:asf|wma|wmv|wax|wvx))$/,
  /^(?:application\/vnd\.rn-realmedia.*|(?:audio|video)\/(?:x-pn-|x-|vnd\.rn-)real.*)$/,
  /^video\/(?:mpeg|mp2t|mp1s|mp2p|vnd\.dlna\.mpeg-tts)$/,
  /^audio\/(?:mpeg|mp2|aac|x-aac|aacp)$/,
  /^image\/(?:png|apng|vnd\.mozilla\.apng)$/,
  /^image\/(?:hei[cf](?:-sequence)?|avif(?:-sequence)?)$/,
  /^image\/(?:tiff(?:-fx)?|x-(?:tiff|canon-cr2|olympus-orf|sony-arw|adobe-dng|nikon-nef|panasonic-rw2|pentax-pef|kodak-.*))$/,
  /^(?:image|video)\/(?:jp2|jpx|jpm|j2c|mj2|jpeg2000)$/,
  /^(?:font\/(?:ttf|otf|sfnt|collection)|application\/(?:x-font-.*|font-sfnt|vnd\.ms-opentype))$/,
  /^(?:font\/woff|application\/(?:x-)?font-woff)$/,
];

/** Declared: bytes of these are characters. */
const TEXT =
  /^text\/|^application\/(?:json|x-ndjson|javascript|x-javascript|ecmascript|x-sh|yaml|x-yaml|toml|sql|graphql|xml|x-www-form-urlencoded|.*\+(?:json|xml|yaml))$|^image\/svg\+xml$/;
/** Recognised: formats whose files are text, so that no text type contradicts them. */
const WRITTEN_AS_TEXT =
  /^(?:text\/.*|application\/(?:xml|rtf|postscript|eps|pgp-encrypted|x-ms-regedit)|model\/stl|image\/x-(?:xbitmap|xpixmap))$/;
/** Declared: types whose files always begin with a signature of their own. */
const SIGNED =
  /^application\/(?:pdf|zip|gzip|x-bzip2|x-xz|zstd|x-7z-compressed|x-rar-compressed|x-elf|x-msdownload|x-mach-binary|wasm|java-vm|java-archive|x-sqlite3|x-shockwave-flash|rtf|postscript|ogg|msword|epub\+zip|x-deb|x-rpm|vnd\.(?:openxmlformats|oasis\.opendocument|android\.package|ms-(?:excel|powerpoint|word|outlook)).*)$/;
/** Declared: pictures, sound, films and fonts that are known by their signature, so that a sibling contradicts them. */
const SIGNED_MEDIA =
  /^(?:image\/(?:jpeg|png|apng|gif|webp|bmp|tiff|hei[cf]|avif|jxl|x-icon|jp2)|audio\/(?:mpeg|wav|flac|aiff|ogg|midi|mp4|x-m4a)|video\/(?:mp4|quicktime|webm|matroska|vnd\.avi|ogg|mpeg)|font\/(?:ttf|otf|woff2?))$/;
/** Recognised: wrappings that files of any not so well-known type may come in. */
const WRAPPING = /^application\/(?:zip|gzip|xml|x-cfb|x-tar|x-sqlite3|ogg|x-bzip2|x-xz|zstd)$/;

/** A media type without its parameters, in lower case. */
export const essence = (type: string): string => (type.split(';', 1)[0] ?? '').trim().toLowerCase();

const canonical = (type: string): string => {
  const name = essence(type);
  return Object.hasOwn(ALIASES, name) ? (ALIASES[name] ?? name) : name;
};

const kindOf = (type: string): string => type.slice(0, type.indexOf('/'));

/** Whether a type is among those that are taken: `image/png`, or `image/*` for all images. No list takes everything. */
export function isAllowed(type: string, allowed: readonly string[] | undefined): boolean {
  if (!allowed) return true;
  const name = canonical(type);
  return allowed.some((entry) => (entry.endsWith('/*') ? name.startsWith(essence(entry).slice(0, -1)) : canonical(entry) === name));
}

/** Declared: all others of the kinds that have signatures; wrapped perhaps, but not of another kind. */
const MEDIA = /^(?:image|audio|video|font)\//;

/** Whether first bytes can contradict a declared type at all: it says how files of it begin. */
export function isTelling(declared: string): boolean {
  const claim = canonical(declared);
  return [TEXT, SIGNED, SIGNED_MEDIA, MEDIA].some((types) => types.test(claim));
}

/**
 * True only when the type that the first bytes were recognised as (null: not recognised) cannot be the declared one.
 * Other names of a type, containers and their contents, and declared types that say little do not contradict.
 */
export function contradicts(declared: string, detected: string | null): boolean {
  if (detected === null || !isTelling(declared)) return false;
  const claim = canonical(declared);
  const found = canonical(detected);
  if (claim === found || found === OCTET_STREAM) return false;
  if (FAMILIES.some((family) => family.test(claim) && family.test(found))) return false;
  if (TEXT.test(claim)) return !WRITTEN_AS_TEXT.test(found);
  if (SIGNED.test(claim) || SIGNED_MEDIA.test(claim)) return true;
  return kindOf(found) !== kindOf(claim) && !WRAPPING.test(found);
}
