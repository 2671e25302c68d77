import { dashboard, WHERE } from './panel.ts';

/** `process_` and `nodejs_` are everybody's names: only of processes that are Windlass. */
const ours = (expr: string): string => `${expr} and on (instance, job) windlass_build_info{${WHERE}}`;
const OF = '{namespace=~"$namespace",release=~"$release"}';

/** The processes themselves. */
export const runtime = dashboard({
  uid: 'windlass-runtime',
  title: 'Windlass / Runtime',
  about: 'The processes themselves: versions, CPU, memory, event loop.',
  items: [
    {
      title: 'Processes by role and version',
      about: 'Two versions at once: a rollout is under way.',
      queries: [{ expr: `count by (role, version) (windlass_build_info{${WHERE}})`, legend: '{{role}} {{version}}' }],
      min: 0,
      runbook: 'WindlassMetricsAbsent',
    },
    {
      title: 'Stopping',
      about: '1 from SIGTERM on.',
      queries: [{ expr: `max by (instance) (windlass_draining{${WHERE}})`, legend: '{{instance}}' }],
      min: 0,
      max: 1,
      runbook: 'WindlassDrainingTooLong',
    },
    {
      title: 'Up since',
      about: 'Short times again and again: a process that restarts.',
      unit: 's',
      queries: [{ expr: ours(`time() - process_start_time_seconds${OF}`), legend: '{{instance}}' }],
    },
    {
      title: 'CPU',
      about: 'Cores in use. Servers hash every byte.',
      queries: [{ expr: ours(`rate(process_cpu_seconds_total${OF}[$__rate_interval])`), legend: '{{instance}}' }],
      min: 0,
    },
    {
      title: 'Event loop lag (99th percentile)',
      about: 'Above a tenth of a second requests wait for the process.',
      unit: 's',
      queries: [{ expr: ours(`nodejs_eventloop_lag_p99_seconds${OF}`), legend: '{{instance}}' }],
      thresholds: [
        { color: 'green', value: null },
        { color: 'orange', value: 0.1 },
      ],
    },
    {
      title: 'Resident memory',
      about: 'Bodies do not wait in memory: it should not grow with the size of files.',
      unit: 'bytes',
      queries: [{ expr: ours(`process_resident_memory_bytes${OF}`), legend: '{{instance}}' }],
      min: 0,
    },
    {
      title: 'Heap in use',
      about: 'Of JavaScript. A saw-tooth is healthy, a slope is a leak.',
      unit: 'bytes',
      queries: [{ expr: ours(`nodejs_heap_size_used_bytes${OF}`), legend: '{{instance}}' }],
      min: 0,
    },
    {
      title: 'Garbage collection',
      about: 'Share of time.',
      unit: 'percentunit',
      queries: [
        {
          expr: ours(`sum by (instance, job) (rate(nodejs_gc_duration_seconds_sum${OF}[$__rate_interval]))`),
          legend: '{{instance}}',
        },
      ],
      min: 0,
    },
    {
      title: 'Open files and connections',
      about: 'Against the limit of the process.',
      queries: [{ expr: ours(`process_open_fds${OF}`), legend: '{{instance}}' }],
      min: 0,
    },
  ],
});
