import { enableCompileCache } from 'node:module';

// Plain JavaScript for the same reason as bin/windlass.js: this thread would load a TypeScript compiler of its own.
enableCompileCache();
await import('./thread.ts');
