import type { Command } from 'commander';
import { type Config, processEnvironment, readConfig } from '../config.ts';
import { SETTINGS, type Setting, type SettingName } from '../settings.ts';

export function addConfig(program: Command): void {
  program
    .command('config')
    .description('print every setting with its value and meaning, secrets masked')
    .option('--json', 'as one JSON object')
    .action(({ json }: { json?: boolean }) => {
      const config = readConfig(processEnvironment());
      process.stdout.write(json ? `${JSON.stringify(masked(config), null, 2)}\n` : described(config));
    });
}

function masked(config: Config): Record<string, unknown> {
  const entries = Object.entries<Setting>(SETTINGS).map(([name, setting]) => {
    const value = config[name as SettingName];
    return [name, setting.secret && value !== undefined ? '********' : (value ?? null)];
  });
  return Object.fromEntries(entries);
}

function described(config: Config): string {
  const values = masked(config);
  const lines = Object.entries<Setting>(SETTINGS).map(([name, { about }]) => `# ${about}\n${name}=${values[name] ?? ''}\n`);
  return `${lines.join('\n')}`;
}
