#!/usr/bin/env node
import { enableCompileCache } from 'node:module';
import { linkShippedCache } from './compile-cache.js';

// As process 1 of a container it would be deaf to signals while nobody listens to them: most commands, and servers that start.
if (process.pid === 1) {
  for (const [signal, number] of Object.entries({ SIGINT: 2, SIGTERM: 15 }))
    process.once(signal, () => process.listenerCount(signal) > 0 || process.exit(128 + number));
}

// Plain JavaScript, so that what was compiled once is not compiled again: commands start sooner, and a server does
// without the TypeScript compiler in its memory (30 MiB).
linkShippedCache();
enableCompileCache();
await import('../src/main.ts');
