import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Role } from './config.ts';

/** Which processes export a metric: servers, workers, or both. `windlass all` is both. */
export type Exporter = 'api' | 'relay' | 'both';

/** The values that a label can have, or in words where code elsewhere bounds them. */
export type LabelValues = readonly string[] | string;
export type Labels = Readonly<Record<string, LabelValues>>;

/** One metric, as the documentation lists it. */
export interface MetricDescription {
  name: string;
  type: 'counter' | 'gauge' | 'histogram';
  help: string;
  labels: Labels;
  exporter: Exporter;
  buckets: readonly number[];
}

/**
 * Metrics with closed sets of labels, each series there from the start: a rate needs a zero to begin with. What this
 * process is not responsible for can be counted all the same, but is not exported.
 */
export class MetricRegistry {
  readonly registry = new Registry();
  readonly described: MetricDescription[] = [];
  readonly #role: Role;

  constructor(role: Role) {
    this.#role = role;
    collectDefaultMetrics({ register: this.registry });
  }

  counter<L extends string>(exporter: Exporter, name: string, help: string, labels: Record<L, LabelValues> = {} as Record<L, LabelValues>) {
    const counter = new Counter<L>(this.#describe(exporter, 'counter', name, help, labels));
    for (const series of everySeries(labels)) counter.inc(series, 0);
    return counter;
  }

  gauge<L extends string>(exporter: Exporter, name: string, help: string, labels: Record<L, LabelValues> = {} as Record<L, LabelValues>) {
    return new Gauge<L>(this.#describe(exporter, 'gauge', name, help, labels));
  }

  histogram<L extends string>(exporter: Exporter, name: string, help: string, buckets: number[], labels: Record<L, LabelValues>) {
    const histogram = new Histogram<L>({ ...this.#describe(exporter, 'histogram', name, help, labels, buckets), buckets });
    for (const series of everySeries(labels)) histogram.zero(series);
    return histogram;
  }

  #describe<L extends string>(
    exporter: Exporter,
    type: MetricDescription['type'],
    name: string,
    help: string,
    labels: Record<L, LabelValues>,
    buckets: readonly number[] = [],
  ): { name: string; help: string; labelNames: L[]; registers: Registry[] } {
    this.described.push({ name, type, help, labels, exporter, buckets });
    const exported = exporter === 'both' || this.#role === 'all' || this.#role === exporter;
    return { name, help, labelNames: Object.keys(labels) as L[], registers: exported ? [this.registry] : [] };
  }
}

/** Every combination of values; none where a label is not known beforehand. */
function everySeries<L extends string>(labels: Record<L, LabelValues>): Record<L, string>[] {
  let series: Record<string, string>[] = [{}];
  for (const [name, values] of Object.entries<LabelValues>(labels)) {
    if (typeof values === 'string') return [];
    series = series.flatMap((one) => values.map((value) => ({ ...one, [name]: value })));
  }
  return series as Record<L, string>[];
}
