import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, unwatchFile, watchFile } from 'node:fs';
import { appendFile, mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Logger } from 'pino';
import { z } from 'zod';
import { isTenant } from './core/keys.ts';

export const SCOPES = ['uploads:read', 'uploads:write', 'admin'] as const;
export type Scope = (typeof SCOPES)[number];

/** Who sends a request, from its token. */
export interface Principal {
  tenant: string;
  scopes: ReadonlySet<Scope>;
}

/** One line of TOKENS_FILE. A token has 256 random bits, so a plain hash of it cannot be turned back. */
const tokenLine = z.object({
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  tenant: z.string().refine(isTenant),
  scopes: z.array(z.enum(SCOPES)).min(1),
  createdAt: z.iso.datetime().optional(),
});

type TokenLine = z.output<typeof tokenLine>;

const hashOf = (token: string): string => createHash('sha256').update(token).digest('hex');

/** Reads a tokens file: one JSON object a line; empty lines and lines that begin with # are passed over. Throws with the line's number. */
export function parseTokens(text: string): Map<string, Principal> {
  const tokens = new Map<string, Principal>();
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const parsed = tokenLine.safeParse(parseJson(line));
    if (!parsed.success) throw new Error(`line ${index + 1} is not a token (make one with \`windlass token\`)`);
    tokens.set(parsed.data.sha256, { tenant: parsed.data.tenant, scopes: new Set(parsed.data.scopes) });
  }
  return tokens;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Makes a token, appends its hash to the file (flushed to the disk), and returns the token: it is not kept anywhere. */
export async function addToken(file: string, tenant: string, scopes: readonly Scope[], now: number): Promise<string> {
  const token = `wl_${randomBytes(32).toString('base64url')}`;
  const line: TokenLine = { sha256: hashOf(token), tenant, scopes: [...scopes], createdAt: new Date(now).toISOString() };
  await mkdir(dirname(file), { recursive: true });
  await appendFile(file, `${JSON.stringify(line)}\n`, { mode: 0o600, flush: true });
  const folder = await open(dirname(file));
  await folder.sync().finally(() => folder.close());
  return token;
}

const POLL_MS = 2000;

/** The tokens of TOKENS_FILE, read again when the file changes. A file that became unreadable keeps the tokens it had. */
export class TokenFile {
  readonly #file: string;
  readonly #log: Logger;
  #tokens: Map<string, Principal>;

  /** Throws when the file is missing or wrong: a server that should ask for tokens must not start without them. */
  constructor(file: string, log: Logger) {
    this.#file = file;
    this.#log = log;
    this.#tokens = parseTokens(readFileSync(file, 'utf8'));
    // Polled by stat: mounted secrets are replaced through links, which other watchers miss.
    watchFile(file, { interval: POLL_MS, persistent: false }, this.#reload);
  }

  find(token: string): Principal | null {
    return this.#tokens.get(hashOf(token)) ?? null;
  }

  close(): void {
    unwatchFile(this.#file, this.#reload);
  }

  readonly #reload = (): void => {
    try {
      this.#tokens = parseTokens(readFileSync(this.#file, 'utf8'));
      this.#log.info({ tokens: this.#tokens.size }, 'tokens read again');
    } catch (error) {
      this.#log.error({ err: error }, 'TOKENS_FILE cannot be read; the tokens read before stay in force');
    }
  };
}
