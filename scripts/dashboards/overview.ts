import { dashboard, labelVariable, WHERE } from './panel.ts';

const BAD = `sum(increase(windlass_uploads_total{${WHERE},outcome=~"refused|failed"}[30d]))`;
const VALID = `sum(increase(windlass_uploads_total{${WHERE},outcome=~"accepted|refused"}[30d]) or increase(windlass_uploads_total{${WHERE},strategy="direct",outcome="stored"}[30d]))`;
const LATE = 'windlass_accepted_to_stored_seconds';
const IN_TIME = `sum(increase(${LATE}_bucket{${WHERE},strategy=~"relay|presign",le=~"300(\\\\.0)?"}[30d]))`;
const TO_STORE = `sum(increase(${LATE}_count{${WHERE},strategy=~"relay|presign"}[30d]) or increase(windlass_uploads_total{${WHERE},strategy=~"relay|presign",outcome="failed"}[30d]))`;
const TENANT = 'tenant=~"$tenant"';

const BUDGET = [
  { color: 'red', value: null },
  { color: 'orange', value: 0.1 },
  { color: 'green', value: 0.5 },
] as const;
const BURN = [
  { color: 'green', value: null },
  { color: 'orange', value: 1 },
  { color: 'red', value: 14.4 },
] as const;

const quantile = (q: number, metric: string, by: string, where = ''): string =>
  `histogram_quantile(${q}, sum by (${by}) (rate(${metric}_bucket{${WHERE}${where}}[$__rate_interval])))`;
const burn = (record: string, slo: number, window: string) => ({
  expr: `max(windlass:${record}:ratio_rate${window}{${WHERE}}) / ${slo}`,
  legend: window,
});

/** Do uploads work, how much budget is left, and who sends what. */
export const overview = dashboard({
  uid: 'windlass-overview',
  title: 'Windlass / Overview',
  about: 'Whether uploads work, how much of the error budget is left, and the load by strategy.',
  variables: [labelVariable('tenant', 'Tenant', 'windlass_uploads_total')],
  items: [
    { row: 'Objectives: 30 days' },
    {
      title: 'Uploads taken',
      about: 'Share of valid uploads that were neither refused by the platform nor given up later. Objective: 99.9 %.',
      type: 'stat',
      unit: 'percentunit',
      queries: [{ expr: `1 - ${BAD} / ${VALID}` }],
      thresholds: [
        { color: 'red', value: null },
        { color: 'green', value: 0.999 },
      ],
      runbook: 'WindlassUploadErrorBudgetBurningFast',
    },
    {
      title: 'Error budget left',
      about: 'Of the 0.1 % of uploads that may fail in 30 days. Below 0 the objective is missed.',
      type: 'stat',
      unit: 'percentunit',
      queries: [{ expr: `1 - ${BAD} / ${VALID} / 0.001` }],
      thresholds: [...BUDGET],
      runbook: 'WindlassUploadErrorBudgetBurningSlowly',
    },
    {
      title: 'Stored within 5 minutes',
      about:
        'Share of relayed and presigned uploads that were stored within five minutes of acceptance (presign: of completion). Objective: 99 %.',
      type: 'stat',
      unit: 'percentunit',
      queries: [{ expr: `${IN_TIME} / ${TO_STORE}` }],
      thresholds: [
        { color: 'red', value: null },
        { color: 'green', value: 0.99 },
      ],
      runbook: 'WindlassStoredLateBudgetBurningFast',
    },
    {
      title: 'Lateness budget left',
      about: 'Of the 1 % of uploads that may be late in 30 days.',
      type: 'stat',
      unit: 'percentunit',
      queries: [{ expr: `1 - (1 - ${IN_TIME} / ${TO_STORE}) / 0.01` }],
      thresholds: [...BUDGET],
      runbook: 'WindlassStoredLateBudgetBurningSlowly',
    },
    {
      title: 'Oldest upload waiting',
      about: 'Age of the oldest relayed upload that is not stored yet.',
      type: 'stat',
      unit: 's',
      queries: [{ expr: `max(windlass_queued_oldest_seconds{${WHERE}})` }],
      thresholds: [
        { color: 'green', value: null },
        { color: 'orange', value: 60 },
        { color: 'red', value: 600 },
      ],
      runbook: 'WindlassQueuedTooLong',
    },
    {
      title: 'Dependencies down',
      about: 'Dependencies that no process reaches.',
      type: 'stat',
      queries: [{ expr: `sum(1 - max by (dependency) (windlass_dependency_up{${WHERE}}))` }],
      thresholds: [
        { color: 'green', value: null },
        { color: 'red', value: 1 },
      ],
      runbook: 'WindlassDependencyDown',
    },
    {
      title: 'Burn rate: uploads taken',
      about:
        'How many times faster than allowed the error budget is used. An alert fires above 14.4 (1 h and 5 m) and above 6 (6 h and 30 m).',
      width: 12,
      queries: ['5m', '1h', '6h', '1d'].map((window) => burn('upload_errors', 0.001, window)),
      thresholds: [...BURN],
      min: 0,
      runbook: 'WindlassUploadErrorBudgetBurningFast',
    },
    {
      title: 'Burn rate: stored within 5 minutes',
      about: 'How many times faster than allowed the budget of late uploads is used.',
      width: 12,
      queries: ['5m', '1h', '6h', '1d'].map((window) => burn('stored_late', 0.01, window)),
      thresholds: [...BURN],
      min: 0,
      runbook: 'WindlassStoredLateBudgetBurningFast',
    },
    { row: 'Load' },
    {
      title: 'Uploads by strategy and outcome',
      about: 'Uploads a second, counted at their request and, where they go on, once more at their end.',
      unit: 'cps',
      queries: [
        {
          expr: `sum by (strategy, outcome) (rate(windlass_uploads_total{${WHERE},${TENANT}}[$__rate_interval]))`,
          legend: '{{strategy}} {{outcome}}',
        },
      ],
    },
    {
      title: 'Bytes received',
      about: 'By servers. Presigned uploads go to the store directly and do not show.',
      unit: 'Bps',
      stack: true,
      queries: [
        { expr: `sum by (strategy) (rate(windlass_received_bytes_total{${WHERE},${TENANT}}[$__rate_interval]))`, legend: '{{strategy}}' },
      ],
    },
    {
      title: 'Uploads in flight',
      about: 'Bodies being received. Each server takes MAX_UPLOADS_IN_FLIGHT at most.',
      stack: true,
      queries: [{ expr: `sum by (strategy) (windlass_uploads_in_flight{${WHERE}})`, legend: '{{strategy}}' }],
    },
    {
      title: 'Uploads by tenant',
      about: 'The ten tenants with most uploads; one line without a name where METRICS_TENANT_LABEL is off.',
      unit: 'cps',
      queries: [
        {
          expr: `topk(10, sum by (tenant) (rate(windlass_uploads_total{${WHERE},${TENANT},outcome=~"accepted|stored"}[$__rate_interval])))`,
          legend: '{{tenant}}',
        },
      ],
    },
    {
      title: 'Size of uploads',
      about: 'Half of the uploads are smaller than the median; one in ten is larger than the 90th percentile.',
      unit: 'bytes',
      queries: [
        { expr: quantile(0.5, 'windlass_upload_size_bytes', 'le'), legend: 'median' },
        { expr: quantile(0.9, 'windlass_upload_size_bytes', 'le'), legend: '90th percentile' },
      ],
    },
    {
      title: 'Requests answered 429',
      about: 'Because their tenant made more than RATE_LIMIT_PER_SECOND.',
      unit: 'reqps',
      queries: [
        { expr: `sum by (tenant) (rate(windlass_rate_limited_total{${WHERE},${TENANT}}[$__rate_interval]))`, legend: '{{tenant}}' },
      ],
      runbook: 'WindlassTenantFlooding',
    },
    { row: 'What is slow, what is refused' },
    {
      title: 'Requests by status',
      about: '4xx: the client has to change something. 5xx: the platform.',
      unit: 'reqps',
      stack: true,
      queries: [
        {
          expr: `sum by (status_class) (rate(windlass_http_request_duration_seconds_count{${WHERE}}[$__rate_interval]))`,
          legend: '{{status_class}}',
        },
      ],
    },
    {
      title: 'Slowest routes (90th percentile)',
      about: 'From the first byte of the request to the end of the answer: with the time that the client takes to send its file.',
      unit: 's',
      queries: [
        {
          expr: `topk(8, histogram_quantile(0.9, sum by (le, method, route) (rate(windlass_http_request_duration_seconds_bucket{${WHERE}}[$__rate_interval]))))`,
          legend: '{{method}} {{route}}',
        },
      ],
    },
    {
      title: 'Refusals by reason',
      about: 'Error codes; docs/errors.md explains each.',
      unit: 'reqps',
      queries: [{ expr: `topk(10, sum by (reason) (rate(windlass_rejections_total{${WHERE}}[$__rate_interval])))`, legend: '{{reason}}' }],
    },
    { alerts: 'Alerts' },
  ],
});
