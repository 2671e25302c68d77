#!/usr/bin/env node
import { enableCompileCache } from 'node:module';
import { linkShippedCache } from './compile-cache.js';

// Plain JavaScript, so that what was compiled once is not compiled again: commands start sooner, and a server does
// without the TypeScript compiler in its memory (30 MiB).
linkShippedCache();
enableCompileCache();
await import('../src/main.ts');
