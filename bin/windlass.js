#!/usr/bin/env node
import { enableCompileCache } from 'node:module';
import { env, getBuiltinModule } from 'node:process';
import { setFlagsFromString } from 'node:v8';
import { linkShippedCache } from './compile-cache.js';

// As process 1 of a container it would be deaf to signals while nobody listens to them: most commands, and servers that start.
if (process.pid === 1) {
  for (const [signal, number] of Object.entries({ SIGINT: 2, SIGTERM: 15 }))
    process.once(signal, () => process.listenerCount(signal) > 0 || process.exit(128 + number));
}

// Each flush of a file holds a thread of Node's pool (docs/decisions/0024-flush-early.md). Read when the pool is first used.
env.UV_THREADPOOL_SIZE ??= '16';

// What lives as long as a request would otherwise be allocated where only a full collection finds it, and the heap grow to
// several times of what is in use (docs/decisions/0023-collect-chunks-young.md).
setFlagsFromString('--no-allocation-site-pretenuring');
setFlagsFromString('--heap-growing-percent=30');
// For the background thread, which is started later; this thread's is given on the command line. What that thread is sent
// is dead when it has answered, and its young generation grew to three times of this: 3 to 5 MiB.
setFlagsFromString('--max-semi-space-size=1');

// The time of a request is spread over hundreds of functions, each called a few times: with the quick compiler after 150
// calls in place of 400, a server that has just been started takes 8 % more of its first 4,000 small forms a second.
setFlagsFromString('--invocation-count-for-maglev=150');
// And not 500 calls later because a place in a function has met an object of another shape, as each does in the beginning:
// 2 to 4 % more of the first 2,000 files a second, 17 % more of the first 3,000 signed links.
setFlagsFromString('--minimum-invocations-after-ic-update=100');
// All of them are due at the same time. What compiling them took would be kept until the last has been compiled,
// which is when another thread gets round to freeing it: 14 to 20 MiB.
setFlagsFromString('--no-maglev-destroy-on-background');

// An `import` of node:http reads all that it exports, and these would load Node's HTTP/2 and fetch: 3 MiB of a server's
// memory, and an eighth of the time in which a command starts.
for (const name of ['WebSocket', 'CloseEvent', 'MessageEvent']) Reflect.deleteProperty(getBuiltinModule('node:http'), name);

// Plain JavaScript, so that what was compiled once is not compiled again: commands start sooner, and a server does
// without the TypeScript compiler in its memory (30 MiB).
linkShippedCache();
enableCompileCache();
await import('../src/main.ts');
