import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { readConfig, roleProblems } from '../../../src/config.ts';
import { parseTokens } from '../../../src/tokens.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

interface Service {
  image?: string;
  command?: string[];
  environment?: Record<string, string>;
  volumes?: string[];
  depends_on?: Record<string, { condition: string }>;
  healthcheck?: object;
  ports?: string[];
}

/** As compose reads it where none of its variables is set. */
const text = readFileSync(`${ROOT}compose.yaml`, 'utf8').replaceAll(/\$\{\w+:-([^}]*)\}/g, '$1');
const { services, volumes } = parse(text, { merge: true }) as { services: Record<string, Service>; volumes: Record<string, null> };
/** What the image sets. */
const IMAGE = { HOST: '0.0.0.0', DATA_DIR: '/data' };

test.each([
  ['api', 'api'],
  ['worker', 'relay'],
] as const)('the settings of %s are what `windlass %s` takes', (name, command) => {
  const { environment = {}, command: args } = services[name] ?? {};
  expect(args).toEqual([command]);
  expect(roleProblems(readConfig({ ...IMAGE, ...environment }), command)).toEqual([]);
});

test('whatever a service names is there', () => {
  for (const { volumes: mounted = [], depends_on = {} } of Object.values(services)) {
    for (const [source = ''] of mounted.map((one) => one.split(':')))
      expect([source, source.startsWith('./') ? existsSync(ROOT + source) : source in volumes]).toEqual([source, true]);
    for (const [other, { condition }] of Object.entries(depends_on)) {
      expect(services[other]).toBeDefined();
      if (condition === 'service_healthy') expect(services[other]?.healthcheck).toBeDefined();
    }
  }
});

test('images are pinned, ports are open to this machine only', () => {
  for (const { image = '', ports = [] } of Object.values(services)) {
    expect(image).toMatch(/:[^/]+$/);
    expect(image).not.toMatch(/:latest$/);
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/);
  }
});

test('the trial token is the one that is documented', () => {
  const tokens = parseTokens(readFileSync(`${ROOT}deploy/compose/tokens`, 'utf8'));
  expect([...tokens.keys()]).toEqual([createHash('sha256').update('windlass-trial-token').digest('hex')]);
});
