import { type Logger, pino } from 'pino';

/**
 * JSON lines with stable names: level, time (RFC 3339), service, requestId, uploadId, traceparent. Whatever could carry a
 * secret is cut out by name, should an object that has it ever be logged whole.
 */
export function createLogger(level: string, service: string, destination: 1 | 2 = 1): Logger {
  return pino(
    {
      level,
      base: { service },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      redact: {
        paths: [
          'authorization',
          'headers.authorization',
          'headers.cookie',
          'token',
          'secret',
          'LINK_SECRET',
          'INTERNAL_SECRET',
          'MONGODB_URI',
          'RABBITMQ_URL',
          'AWS_SECRET_ACCESS_KEY',
          'AWS_SESSION_TOKEN',
        ],
        censor: '[cut]',
      },
    },
    pino.destination({ dest: destination, sync: true }),
  );
}
