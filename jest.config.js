export default {
  testEnvironment: 'node',
  transform: {},
  extensionsToTreatAsEsm: ['.ts'],
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  testTimeout: 30_000,
  // Most of a test's time goes by in the servers it starts: one worker for each core, not one less.
  maxWorkers: '100%',
  // Tests that kill servers wait for processes, not for the CPU.
  maxConcurrency: 4,
};
