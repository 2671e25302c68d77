import type { IncomingMessage } from 'node:http';
import type { Logger } from 'pino';
import { LOG_LEVELS } from '../settings.ts';

const MAX_CHARACTERS = 16;

/** Sets the level of the log, of this process and until it ends. The new level; null where the body names none. */
export async function changeLogLevel(request: IncomingMessage, log: Logger): Promise<string | null> {
  let text = '';
  for await (const chunk of request) {
    text += chunk;
    if (text.length > MAX_CHARACTERS) return null;
  }
  const level = LOG_LEVELS.find((one) => one === text.trim());
  if (!level) return null;
  const before = log.level;
  // Always written: whoever reads the log later has to know why lines begin or end here.
  log.level = 'info';
  log.info({ before, after: level }, 'log level changed');
  log.level = level;
  return level;
}
