import type { Measurement } from './scenarios.ts';

export interface Row {
  scenario: string;
  name: string;
  measured: Measurement;
}

const MIB = 1024 ** 2;
const round = (value: number, digits = 0): string =>
  value.toLocaleString('en', { maximumFractionDigits: digits, minimumFractionDigits: digits });

/** docs/performance.md: one table for each scenario, with a bar that shows the main figure beside the best of its table. */
export function performancePage(rows: readonly Row[], machine: string): string {
  const scenarios = [...new Set(rows.map(({ scenario }) => scenario))];
  return `# Performance

<!-- Written by \`npm run bench\`. -->

Measured in one run on ${machine}, client and server on the same machine. Compare within a table: absolute figures of such a machine say little. Windlass hashes every byte, recognises types, flushes file and folder to the disk, writes a record and counts metrics in all of them; none of the others does any of that.

${scenarios
  .map((scenario) =>
    table(
      scenario,
      rows.filter((row) => row.scenario === scenario),
    ),
  )
  .join('\n')}`;
}

function table(scenario: string, rows: readonly Row[]): string {
  const small = rows.every(({ measured }) => measured.bytes / measured.requests <= 64 * 1024);
  const figure = ({ measured }: Row): number => (small ? measured.requests / measured.seconds : measured.bytes / MIB / measured.seconds);
  const best = Math.max(...rows.map(figure));
  const lines = rows.map((row) => {
    const { measured: m } = row;
    const bar = '█'.repeat(Math.max(1, Math.round((figure(row) / best) * 20)));
    const perGib = m.bytes / m.requests < 64 * 1024 ? '' : round((m.cpuSeconds / m.bytes) * 1024 * MIB, 2);
    return `| ${row.name} | ${round(figure(row))} | ${bar} | ${perGib} | ${round(m.p50Ms, 1)} | ${round(m.p99Ms, 1)} | ${m.peakBytes === 0 ? '' : round(m.peakBytes / MIB)} |`;
  });
  return `## ${scenario}

| | ${small ? 'requests/s' : 'MiB/s'} | | CPU-s/GiB | p50, ms | p99, ms | peak RSS, MiB |
| --- | --- | --- | --- | --- | --- | --- |
${lines.join('\n')}
`;
}
