import services from './jest.services.config.js';

/** The whole stack under load while its servers go away: slow, and sensitive to other load on the machine, so run by itself. */
export default {
  ...services,
  testMatch: ['<rootDir>/test/services/outages*.test.ts'],
  testPathIgnorePatterns: [],
  globalSetup: '<rootDir>/test/services/global-setup-fragile.ts',
  globalTeardown: undefined,
};
