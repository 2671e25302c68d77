#!/usr/bin/env node
import { enableCompileCache } from 'node:module';

// Plain JavaScript, so that what was compiled once is not compiled again: commands start sooner, and a server does
// without the TypeScript compiler in its memory (30 MiB).
enableCompileCache();
await import('../src/main.ts');
