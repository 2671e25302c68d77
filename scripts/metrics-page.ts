import type { Exporter, Labels, MetricDescription } from '../src/metric-registry.ts';
import { createMetrics } from '../src/metrics.ts';

const PROCESSES: Record<Exporter, string> = { api: 'servers', relay: 'workers', both: 'both' };

/** Every metric as the registry of a process that does everything has it. */
export function metricsPage(generated: string): string {
  const metrics = createMetrics('', { tenants: { max: 1 } });
  const nodes = metrics.registry
    .getMetricsAsArray()
    .map(({ name }) => name)
    .filter((name) => !name.startsWith('windlass_'))
    .map((name) => `\`${name}\``);
  metrics.registry.clear();
  return `# Metrics

${generated}Prometheus reads them at \`/metrics\` on the operations port (\`OPS_PORT\`). Each process exports what it is responsible for: servers (\`windlass api\`), workers (\`windlass relay\`), or both; \`windlass all\` exports everything. Labels have closed sets of values, and every series whose values are known beforehand is there with 0 from the start. \`tenant\` is there only with \`METRICS_TENANT_LABEL=true\`.

What servers say about database and queue, all of them say alike: take \`max\`, not \`sum\`. What cannot be found out is absent, never old; \`windlass_dependency_up\` then says why.

| Metric | Type | Labels | Processes | Meaning |
| --- | --- | --- | --- | --- |
${metrics.described.map(row).join('\n')}

## Of Node itself

${nodes.join(' · ')}
`;
}

const row = ({ name, type, help, labels, exporter, buckets }: MetricDescription): string =>
  `| \`${name}\` | ${type} | ${labelsOf(labels)} | ${PROCESSES[exporter]} | ${help}${buckets.length > 0 ? ` Buckets: ${buckets.join(', ')}.` : ''} |`;

const labelsOf = (labels: Labels): string =>
  Object.entries(labels)
    .map(([name, values]) => `\`${name}\`: ${typeof values === 'string' ? values : listed(name, values)}`)
    .join('<br>');

const listed = (label: string, values: readonly string[]): string =>
  label === 'reason' ? 'the codes of [errors](errors.md)' : values.map((value) => `\`${value}\``).join(', ');
