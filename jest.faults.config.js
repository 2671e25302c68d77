import base from './jest.config.js';

/** The stack watched by a real Prometheus while its servers fail. It starts servers of its own. */
export default { ...base, testMatch: ['<rootDir>/test/faults/**/*.test.ts'], testTimeout: 150_000, maxWorkers: 1 };
