/**
 * Adds to package-lock.json the packages for other platforms that the registry in use did not serve: `npm ci` refuses a
 * lock without them, although it would not install them here. Run it after `npm install`.
 */
import { readFileSync, writeFileSync } from 'node:fs';

interface Entry {
  version?: string;
  dev?: boolean;
  optional?: boolean;
  os?: string[];
  cpu?: string[];
  libc?: string[];
  optionalDependencies?: Record<string, string>;
}

const PLATFORM = /(android|darwin|linux|win32|freebsd|openharmony|wasm32)(?:-(arm64|x64|arm|ia32|ppc64|riscv64|s390x|loong64))?/;

/** What npm would have written, as far as the package's name tells it. */
function entryOf(name: string, version: string, dev: boolean): Entry | null {
  const [, os, cpu] = PLATFORM.exec(name) ?? [];
  if (!os || !/^\d/.test(version)) return null;
  const libc = name.includes('musl') ? ['musl'] : os === 'linux' && name.includes('gnu') ? ['glibc'] : undefined;
  const place = os === 'wasm32' ? { cpu: [os] } : { ...(cpu ? { cpu: [cpu] } : {}), os: [os] };
  return { version, ...place, ...(libc ? { libc } : {}), ...(dev ? { dev } : {}), optional: true };
}

const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')) as { packages: Record<string, Entry> };
const { '': root, ...packages } = lock.packages;
for (const { optionalDependencies = {}, dev = false } of Object.values(packages)) {
  for (const [name, version] of Object.entries(optionalDependencies)) {
    const entry = entryOf(name, version, dev);
    if (entry) packages[`node_modules/${name}`] ??= entry;
  }
}
const sorted = Object.fromEntries(Object.entries(packages).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync('package-lock.json', `${JSON.stringify({ ...lock, packages: { '': root, ...sorted } }, null, 2)}\n`);
