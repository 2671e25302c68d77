import { barChart } from './plot.ts';
import type { Measurement } from './scenarios.ts';

export interface Row {
  scenario: string;
  name: string;
  measured: Measurement;
}

export interface Report {
  /** docs/performance.md. */
  page: string;
  /** SVG by name of the file, below docs/performance/. */
  plots: Map<string, string>;
}

const MIB = 1024 ** 2;
const round = (value: number, digits = 0): string =>
  value.toLocaleString('en', { maximumFractionDigits: digits, minimumFractionDigits: digits });

/** One table and one plot for each scenario. `limits` says what holds each of them back. */
export function performanceReport(rows: readonly Row[], machine: string, limits: string): Report {
  const scenarios = [...new Set(rows.map(({ scenario }) => scenario))];
  const plots = new Map<string, string>();
  const sections = scenarios.map((scenario) => {
    const own = rows.filter((row) => row.scenario === scenario);
    const file = `${scenario.replace(/[^a-z0-9]+/gi, '-').toLowerCase()}.svg`;
    const bars = own.map((row) => ({ name: row.name, value: figure(row), ours: row.name.startsWith('Windlass') }));
    plots.set(file, barChart(scenario, unitOf(own), bars));
    return `## ${scenario}\n\n![](performance/${file})\n\n${table(own)}`;
  });
  return { page: `${introduction(machine)}\n${sections.join('\n')}\n${limits}`, plots };
}

const introduction = (machine: string): string => `# Performance

<!-- Written by \`npm run bench\`. -->

Measured in one run on ${machine}, client and server on the same machine. Each row is the median of three runs (of 2,000 files on tmpfs: seven), taken in turn with the other rows of its table; its memory is the highest of them. Before a row on the disk as much is written and removed: a virtual machine's memory is dearer when it is touched for the first time. Compare within a table: absolute figures of such a machine say little. Windlass hashes every byte, flushes file and folder to the disk, writes a record and counts metrics in all of them; none of the others does any of that. Its reconciler, which comes every five minutes, is off meanwhile.
`;

const isSmall = ({ measured }: Row): boolean => measured.bytes / measured.requests <= 64 * 1024;
const unitOf = (rows: readonly Row[]): string => (rows.every(isSmall) ? 'requests/s' : 'MiB/s');
const figure = (row: Row): number => {
  const { measured: m } = row;
  return isSmall(row) ? m.requests / m.seconds : m.bytes / MIB / m.seconds;
};

function table(rows: readonly Row[]): string {
  const lines = rows.map((row) => {
    const { measured: m } = row;
    const perGib = m.bytes / m.requests < 64 * 1024 ? '' : round((m.cpuSeconds / m.bytes) * 1024 * MIB, 2);
    const peak = m.peakBytes === 0 ? '' : round(m.peakBytes / MIB);
    return `| ${row.name} | ${round(figure(row))} | ${perGib} | ${round(m.p50Ms, 1)} | ${round(m.p99Ms, 1)} | ${peak} |`;
  });
  return `| | ${unitOf(rows)} | CPU-s/GiB | p50, ms | p99, ms | peak RSS, MiB |
| --- | --- | --- | --- | --- | --- |
${lines.join('\n')}
`;
}
