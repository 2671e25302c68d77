import base from './jest.config.js';

/** The suites that need MongoDB, RabbitMQ and S3: their servers are started once for all of them. */
export default {
  ...base,
  testMatch: ['<rootDir>/test/services/**/*.test.ts'],
  testPathIgnorePatterns: ['/outages'],
  globalSetup: '<rootDir>/test/services/global-setup.ts',
  globalTeardown: '<rootDir>/test/services/global-teardown.ts',
  testTimeout: 60_000,
};
