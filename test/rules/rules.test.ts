import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { createMetrics } from '../../src/metrics.ts';
import { dashboards, panelQueries, ROOT, RULES, ruleFiles, rules } from './rule-files.ts';

const PROMTOOL = process.env.TEST_PROMTOOL ?? 'promtool';
const HERE = join(ROOT, 'test/rules');
const testFiles = readdirSync(HERE).filter((name) => name.endsWith('.test.yaml'));
const alerts = rules().filter(({ alert }) => alert !== undefined);

const promtool = (...args: string[]): { status: number | null; output: string } => {
  const { status, stdout, stderr } = spawnSync(PROMTOOL, args, { cwd: HERE, encoding: 'utf8' });
  return { status, output: stdout + stderr };
};

const isThere = spawnSync(PROMTOOL, ['--version']).status === 0;
if (!isThere) process.stderr.write('No promtool here (TEST_PROMTOOL names the binary): the tests of the rules are skipped.\n');
const withPromtool = isThere ? test : test.skip;

withPromtool.each(ruleFiles())('%s is a rule file that Prometheus loads', (file) => {
  expect(promtool('check', 'rules', join(RULES, file))).toMatchObject({ status: 0 });
});

withPromtool.each(testFiles)('%s holds', (file) => {
  const { status, output } = promtool('test', 'rules', file);
  if (status !== 0) throw new Error(output);
});

describe.each(alerts)('$alert', ({ file, alert = '', labels, annotations = {} }) => {
  test('says how bad it is, what is wrong, and where to read on', () => {
    expect(['critical', 'warning']).toContain(labels?.severity);
    expect(annotations.summary).toBeTruthy();
    expect(annotations.description).toBeTruthy();
    expect(annotations.runbook_url).toBe(`http://localhost:8080/docs/runbooks/${alert}.md`);
  });

  test('has a runbook with all its parts', () => {
    const page = readFileSync(join(ROOT, `docs/runbooks/${alert}.md`), 'utf8');
    expect(page.match(/^#+ .*/gm)).toEqual([
      `# ${alert}`,
      ...['What it means', 'Impact', 'Diagnose', 'Cure', 'When to ignore it'].map((title) => `## ${title}`),
    ]);
    expect(page.split('## Diagnose')[1]?.split('## Cure')[0]).toMatch(/```(sh|promql)/);
    for (const [, link = ''] of page.matchAll(/\]\((\w+\.md)\)/g))
      expect([link, existsSync(join(ROOT, 'docs/runbooks', link))]).toEqual([link, true]);
  });

  test('is tested to fire, and not to fire', () => {
    const { tests } = parse(readFileSync(join(HERE, file.replace('.yaml', '.test.yaml')), 'utf8')) as {
      tests: { alert_rule_test: { alertname: string; exp_alerts: unknown[] }[] }[];
    };
    const expected = tests.flatMap(({ alert_rule_test: all }) =>
      all.filter(({ alertname }) => alertname === alert).map((one) => one.exp_alerts.length),
    );
    expect(expected.some((count) => count > 0)).toBe(true);
    expect(expected.some((count) => count === 0)).toBe(true);
  });
});

test('every runbook belongs to an alert', () => {
  const pages = readdirSync(join(ROOT, 'docs/runbooks')).map((name) => name.replace(/\.md$/, ''));
  expect(pages.sort()).toEqual(alerts.map(({ alert }) => alert).sort());
});

describe('every metric that is asked for exists', () => {
  const { described, registry } = createMetrics('test', { tenants: { max: 1 } });
  const known = new Map(described.map(({ name, labels }) => [name, Object.keys(labels)]));
  const series = new Set([
    ...described.flatMap(({ name, type }) => (type === 'histogram' ? ['_bucket', '_count', '_sum'].map((end) => name + end) : [name])),
    ...registry.getMetricsAsArray().flatMap(({ name }) => [name, `${name}_sum`, `${name}_count`]),
    ...rules().flatMap(({ record }) => record ?? []),
  ]);
  const runbooks = readdirSync(join(ROOT, 'docs/runbooks')).flatMap((name) =>
    [...readFileSync(join(ROOT, 'docs/runbooks', name), 'utf8').matchAll(/```promql\n([\s\S]*?)```/g)].map(([, expr = '']) => ({
      where: name,
      expr,
    })),
  );
  const asked = [
    ...rules().map(({ file, expr }) => ({ where: file, expr })),
    ...panelQueries().map(({ dashboard, panel, expr }) => ({ where: `${dashboard}: ${panel}`, expr })),
    ...runbooks,
  ];

  test.each(asked)('$where: $expr', ({ expr }) => {
    const names = expr.match(/\b(?:windlass|process|nodejs|rabbitmq)[_:][a-z0-9_:]*\b/g) ?? [];
    expect(names.length).toBeGreaterThan(0);
    expect(names.filter((name) => !series.has(name) && !name.startsWith('rabbitmq_'))).toEqual([]);
  });

  test.each(asked)('$where: its labels are those of the metric: $expr', ({ expr }) => {
    for (const [, name = '', selector = ''] of expr.matchAll(/\b(windlass_[a-z_]+)\{([^}]*)\}/g)) {
      const labels = known.get(name) ?? known.get(name.replace(/_(bucket|count|sum)$/, '')) ?? [];
      for (const [, label = ''] of selector.matchAll(/(\w+)(?:=~|!~|!=|=)"/g))
        expect([...labels, 'le', 'namespace', 'release', 'instance', 'job']).toContain(label);
    }
  });
});

test('dashboards have ids of their own, and every panel says what it shows', () => {
  const all = dashboards();
  expect(new Set(all.map(({ uid }) => uid)).size).toBe(all.length);
  for (const { title, panels } of all)
    for (const panel of panels.filter(({ type }) => type !== 'row' && type !== 'alertlist'))
      expect([title, panel]).toEqual([
        title,
        expect.objectContaining({ description: expect.stringMatching(/./), datasource: { type: 'prometheus', uid: '$datasource' } }),
      ]);
  const linked = all.flatMap(({ panels }) => panels.flatMap(({ links = [] }) => links.map(({ url }) => url)));
  for (const url of linked) expect([url, existsSync(join(ROOT, 'docs/runbooks', url.split('/').at(-1) ?? ''))]).toEqual([url, true]);
});
