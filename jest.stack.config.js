import services from './jest.services.config.js';

/** The suites of the HTTP API, on two servers and two workers with MongoDB, RabbitMQ and S3 instead of the embedded default. */
export default {
  ...services,
  testMatch: ['<rootDir>/test/http/**/*.test.ts'],
  globalSetup: '<rootDir>/test/services/global-setup-stack.ts',
  testPathIgnorePatterns: [
    // These put routes and parts together in the test's own process, and look at what is inside.
    ...['http/admin.test', 'http/content.test', 'http/idempotent-upload.test', 'http/receive-', 'http/refusal.test'],
    // A process that is told its level, and one with a collector: test/services follows a trace through the stack.
    ...['http/log-level.test', 'http/tracing.test'],
  ],
  testTimeout: 120_000,
  // Each file has four processes of its own.
  maxWorkers: 1,
};
