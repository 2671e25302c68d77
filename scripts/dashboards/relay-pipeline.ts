import { dashboard, textVariable, WHERE } from './panel.ts';

/** RabbitMQ's own exporter, of each queue by itself: /metrics/detailed?family=queue_coarse_metrics&family=queue_consumer_count */
const QUEUES = 'queue=~"$queues[.]jobs.*"';
const rate = (metric: string, by: string): string => `sum by (${by}) (rate(${metric}{${WHERE}}[$__rate_interval]))`;
const quantile = (q: number, metric: string, by: string): string =>
  `histogram_quantile(${q}, sum by (${by}) (rate(${metric}_bucket{${WHERE}}[$__rate_interval])))`;

/** From acceptance to the object store: where uploads wait, and why. */
export const relayPipeline = dashboard({
  uid: 'windlass-relay-pipeline',
  title: 'Windlass / Relay pipeline',
  about: 'From acceptance through outbox and queue to the object store: where uploads wait, and why.',
  variables: [textVariable('queues', 'Prefix of queues', 'windlass')],
  items: [
    { row: 'What waits' },
    {
      title: 'Oldest upload waiting',
      about: 'Age of the oldest relayed upload in the state queued.',
      unit: 's',
      queries: [{ expr: `max(windlass_queued_oldest_seconds{${WHERE}})`, legend: 'queued' }],
      thresholds: [
        { color: 'green', value: null },
        { color: 'red', value: 600 },
      ],
      min: 0,
      runbook: 'WindlassQueuedTooLong',
    },
    {
      title: 'Jobs in the queue',
      about: 'As servers see them: to be taken, waiting for their next try, given up.',
      queries: [{ expr: `max by (state) (windlass_queue_jobs{${WHERE}})`, legend: '{{state}}' }],
      min: 0,
      runbook: 'WindlassDeadLetters',
    },
    {
      title: 'Outbox',
      about: 'Messages written but not yet published, and the age of the oldest in seconds.',
      queries: [
        { expr: `max(windlass_outbox_messages{${WHERE}})`, legend: 'messages' },
        { expr: `max(windlass_outbox_oldest_seconds{${WHERE}})`, legend: 'age of the oldest (s)' },
      ],
      min: 0,
      runbook: 'WindlassOutboxStuck',
    },
    {
      title: 'Backups of direct files',
      about:
        'Copies in the object store that are asked for and not there yet, and how long the oldest has been. Nothing without DIRECT_BACKUP.',
      queries: [
        { expr: `max(windlass_backups_due{${WHERE}})`, legend: 'due' },
        { expr: `max(windlass_backups_oldest_seconds{${WHERE}})`, legend: 'age of the oldest (s)' },
      ],
      min: 0,
      runbook: 'WindlassBackupsLate',
    },
    { row: 'Who works' },
    {
      title: 'Slots of workers in use',
      about: 'At 100 % every worker is occupied: more of them, or more jobs for each, make it faster, unless the store is slow.',
      unit: 'percentunit',
      queries: [{ expr: `sum(windlass_jobs_in_flight{${WHERE}}) / sum(windlass_job_slots{${WHERE}})`, legend: 'in use' }],
      min: 0,
      max: 1,
      runbook: 'WindlassNoWorkers',
    },
    {
      title: 'Workers and slots',
      about: 'Processes that carry out jobs, and how many jobs they carry out at once.',
      queries: [
        { expr: `count(windlass_job_slots{${WHERE}} > 0) or vector(0)`, legend: 'workers' },
        { expr: `sum(windlass_job_slots{${WHERE}})`, legend: 'slots' },
        { expr: `sum(windlass_jobs_in_flight{${WHERE}})`, legend: 'in use' },
      ],
      min: 0,
      runbook: 'WindlassNoWorkers',
    },
    {
      title: 'Jobs by outcome',
      about: 'retry: a try failed and another follows. dead: given up.',
      unit: 'cps',
      queries: [
        { expr: rate('windlass_jobs_total', 'outcome'), legend: '{{outcome}}' },
        { expr: `sum(rate(windlass_job_redeliveries_total{${WHERE}}[$__rate_interval]))`, legend: 'arrived again' },
      ],
    },
    { row: 'How long it takes' },
    {
      title: 'Accepted to stored',
      about: 'For presigned uploads from completion. The objective is five minutes.',
      unit: 's',
      queries: [0.5, 0.9, 0.99].map((q) => ({
        expr: quantile(q, 'windlass_accepted_to_stored_seconds', 'le, strategy'),
        legend: `{{strategy}} p${q * 100}`,
      })),
      thresholds: [
        { color: 'green', value: null },
        { color: 'red', value: 300 },
      ],
      runbook: 'WindlassStoredLateBudgetBurningFast',
    },
    {
      title: 'Stages of a job (90th percentile)',
      about: 'put: reading the spool and writing to the store. verify: looking at what is there. commit: the record.',
      unit: 's',
      queries: [{ expr: quantile(0.9, 'windlass_job_duration_seconds', 'le, stage'), legend: '{{stage}}' }],
    },
    {
      title: 'Spools in use',
      about: "Each server's own disk. When only MIN_FREE_BYTES are left, uploads are answered 507.",
      unit: 'percentunit',
      queries: [{ expr: `windlass_spool_bytes{${WHERE}} / windlass_spool_capacity_bytes{${WHERE}}`, legend: '{{instance}}' }],
      thresholds: [
        { color: 'green', value: null },
        { color: 'red', value: 0.9 },
      ],
      min: 0,
      max: 1,
      runbook: 'WindlassSpoolFilling',
    },
    { row: 'RabbitMQ, by its own exporter' },
    {
      title: 'Ready and unacknowledged',
      about: 'Unacknowledged jobs are being carried out. Next to them what Windlass counts as in use: both should agree.',
      width: 12,
      queries: [
        { expr: `sum by (queue) (rabbitmq_detailed_queue_messages_ready{${QUEUES}})`, legend: '{{queue}} ready' },
        { expr: `sum by (queue) (rabbitmq_detailed_queue_messages_unacked{${QUEUES}})`, legend: '{{queue}} unacknowledged' },
        { expr: `sum(windlass_jobs_in_flight{${WHERE}})`, legend: 'in use by workers' },
      ],
      min: 0,
    },
    {
      title: 'Consumers',
      about: 'One for each worker on the queue of jobs. Fewer than workers: a worker has lost its connection.',
      width: 12,
      queries: [
        { expr: `sum by (queue) (rabbitmq_detailed_queue_consumers{${QUEUES}})`, legend: '{{queue}}' },
        { expr: `count(windlass_job_slots{${WHERE}} > 0) or vector(0)`, legend: 'workers' },
      ],
      min: 0,
      runbook: 'WindlassNoWorkers',
    },
  ],
});
