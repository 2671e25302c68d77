import { type Command, InvalidArgumentError } from 'commander';
import { ConfigError, processEnvironment, readConfig } from '../config.ts';
import { isTenant } from '../core/keys.ts';
import { addToken, SCOPES, type Scope } from '../tokens.ts';

export function addTokenCommand(program: Command): void {
  program
    .command('token')
    .description('make a service token: prints it once, appends its hash to TOKENS_FILE')
    .requiredOption('--tenant <name>', 'whose uploads the token may see: lower-case letters, digits and -', tenant)
    .option('--scopes <list>', `what it may do, separated by commas: ${SCOPES.join(', ')}`, scopes, [
      'uploads:read',
      'uploads:write',
    ] satisfies Scope[])
    .addHelpText('after', '\nExample:\n  TOKENS_FILE=./tokens windlass token --tenant acme --scopes uploads:read,uploads:write')
    .action(async (options: { tenant: string; scopes: Scope[] }) => {
      const file = tokensFile();
      process.stdout.write(`${await addToken(file, options.tenant, options.scopes, Date.now())}\n`);
      process.stderr.write(`Its hash was appended to ${file}. The token itself is kept nowhere: store it now.\n`);
    });
}

function tenant(text: string): string {
  if (!isTenant(text)) throw new InvalidArgumentError('It takes 1 to 64 lower-case letters, digits and -, and no - at either end.');
  return text;
}

function scopes(text: string): Scope[] {
  const asked = text.split(',').map((scope) => scope.trim());
  const unknown = asked.filter((scope) => !(SCOPES as readonly string[]).includes(scope));
  if (unknown.length > 0) throw new InvalidArgumentError(`Unknown: ${unknown.join(', ')}. There are ${SCOPES.join(', ')}.`);
  return asked as Scope[];
}

/** The file may not exist yet, and the server's other settings need not be right: only this one is asked for. */
function tokensFile(): string {
  const { TOKENS_FILE } = readConfig({ TOKENS_FILE: processEnvironment().TOKENS_FILE });
  if (!TOKENS_FILE)
    throw new ConfigError(['TOKENS_FILE: names no file; set it to where the server reads its tokens from, such as ./tokens']);
  return TOKENS_FILE;
}
