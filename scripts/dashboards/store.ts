import { dashboard, WHERE } from './panel.ts';

const CALLS = 'windlass_store_request_duration_seconds';

/** The object store and the others that Windlass stands on. */
export const store = dashboard({
  uid: 'windlass-store',
  title: 'Windlass / Store and dependencies',
  about: 'Object store, database and broker as each process sees them, and what the reconciler found.',
  items: [
    { row: 'Dependencies' },
    {
      title: 'Up, as each process sees it',
      about: '1 when the last call went well. One process alone: its node or its network. All of them: the dependency.',
      type: 'state-timeline',
      width: 24,
      queries: [{ expr: `min by (dependency, instance) (windlass_dependency_up{${WHERE}})`, legend: '{{dependency}} {{instance}}' }],
      thresholds: [
        { color: 'red', value: null },
        { color: 'green', value: 1 },
      ],
      min: 0,
      max: 1,
      runbook: 'WindlassDependencyDown',
    },
    { row: 'Object store' },
    {
      title: 'Calls by operation',
      about: 'Listings are left out.',
      unit: 'reqps',
      queries: [{ expr: `sum by (operation) (rate(${CALLS}_count{${WHERE}}[$__rate_interval]))`, legend: '{{operation}}' }],
    },
    {
      title: 'Slow calls (90th percentile)',
      about: 'put and read take longer for larger files; head moves no bytes and putSmall hardly any: they show how quick the store is.',
      unit: 's',
      queries: [
        {
          expr: `histogram_quantile(0.9, sum by (le, operation) (rate(${CALLS}_bucket{${WHERE},outcome="ok"}[$__rate_interval])))`,
          legend: '{{operation}}',
        },
      ],
      thresholds: [
        { color: 'green', value: null },
        { color: 'orange', value: 1 },
      ],
      runbook: 'WindlassStoreSlow',
    },
    {
      title: 'Calls that failed',
      about: 'unavailable: no answer, or a 5xx. error: refused with reason. aborted: broken off by Windlass.',
      unit: 'reqps',
      queries: [{ expr: `sum by (outcome) (rate(${CALLS}_count{${WHERE},outcome!="ok"}[$__rate_interval]))`, legend: '{{outcome}}' }],
      runbook: 'WindlassStoreFailing',
    },
    { row: 'Records and reconciler' },
    {
      title: 'Changes of state',
      about: 'Of uploads, by the state they came to.',
      unit: 'cps',
      queries: [{ expr: `sum by (state) (rate(windlass_upload_transitions_total{${WHERE}}[$__rate_interval]))`, legend: '{{state}}' }],
    },
    {
      title: 'Bytes missing, last day',
      about: 'Stored uploads whose bytes the reconciler did not find. Should be 0, always.',
      type: 'stat',
      width: 8,
      height: 7,
      queries: [{ expr: `sum(increase(windlass_orphans_found_total{${WHERE},kind="missing_bytes"}[1d]))` }],
      thresholds: [
        { color: 'green', value: null },
        { color: 'red', value: 0.5 },
      ],
      runbook: 'WindlassBytesMissing',
    },
    {
      title: 'Leftovers in an hour',
      about: 'What crashes and clients that went away have left: found, and removed after the grace period.',
      queries: [
        { expr: `sum by (kind) (increase(windlass_orphans_found_total{${WHERE}}[1h]))`, legend: '{{kind}} found' },
        { expr: `sum by (kind) (increase(windlass_orphans_removed_total{${WHERE}}[1h]))`, legend: '{{kind}} removed' },
      ],
      min: 0,
    },
  ],
});
