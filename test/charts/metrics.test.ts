import { describe, expect, test } from '@jest/globals';
import { loadPages } from '../../src/http/pages.ts';
import { dashboards, rules } from '../rules/rule-files.ts';
import { render, withHelm } from './helm.ts';

const trial = { devStack: { enabled: true } };
const metrics = (values: object) => render({ ...trial, metrics: values });

withHelm(() => {
  describe('rules', () => {
    const [rule] = metrics({ rules: { enabled: true, labels: { release: 'prometheus' } } }).filter(({ kind }) => kind === 'PrometheusRule');

    test('are the files as they are, and carry the labels by which Prometheus finds them', () => {
      expect(rule?.metadata.labels).toMatchObject({ release: 'prometheus' });
      const shipped = rule?.spec.groups.flatMap(({ rules: own }: { rules: object[] }) => own);
      expect(shipped).toEqual(rules().map(({ file: _, ...own }) => own));
    });

    test('link to runbooks where the values say that they are', () => {
      const objects = metrics({ rules: { enabled: true, runbookUrl: 'https://wiki.example.com/books/' }, dashboards: { enabled: true } });
      const text = JSON.stringify(objects);
      expect(text).toContain('https://wiki.example.com/books/WindlassNoWorkers.md');
      expect(text).not.toContain('/docs/runbooks/');
    });

    test('link to what servers serve where the values say nothing', () => {
      const publicUrl = 'https://files.example.com/';
      const objects = render({ ...trial, publicUrl, metrics: { rules: { enabled: true }, dashboards: { enabled: true } } });
      const links = new Set(JSON.stringify(objects).match(/https?:\/\/[^"\\]*\/docs\/runbooks\/[^"\\]*/g));
      expect(links.size).toBeGreaterThan(10);
      const pages = loadPages({});
      for (const link of links) expect([link, pages.has(link.replace('https://files.example.com', ''))]).toEqual([link, true]);
    });

    test('and dashboards are left out unless they are switched on', () => {
      const objects = metrics({});
      expect(objects.filter(({ kind, metadata }) => kind === 'PrometheusRule' || metadata.name.includes('dashboard'))).toEqual([]);
    });
  });

  test('dashboards are a ConfigMap each, with the label that Grafana looks for, and valid JSON', () => {
    const maps = metrics({ dashboards: { enabled: true, annotations: { grafana_folder: 'Uploads' } } }).filter(
      ({ metadata }) => metadata.labels.grafana_dashboard === '1',
    );
    const shipped = maps.map(({ metadata, data = {} }) => {
      expect(metadata.annotations).toEqual({ grafana_folder: 'Uploads' });
      return JSON.parse(Object.values(data)[0] ?? '');
    });
    expect(shipped).toEqual(dashboards());
  });

  test.each(['serviceMonitor', 'podMonitor'])('%s gives every series the name of the release', (kind) => {
    const [monitor] = metrics({ [kind]: { enabled: true } }).filter((object) => object.kind.toLowerCase() === kind.toLowerCase());
    const endpoints = monitor?.spec.endpoints ?? monitor?.spec.podMetricsEndpoints;
    expect(endpoints[0].relabelings).toEqual([{ action: 'replace', targetLabel: 'release', replacement: 'up' }]);
  });
});
