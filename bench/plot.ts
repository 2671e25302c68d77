/** What one bar stands for. */
export interface Bar {
  name: string;
  value: number;
  /** Drawn in the colour of Windlass. */
  ours: boolean;
}

const ROW = 26;
const LABELS = 220;
const WIDTH = 760;
const BARS = WIDTH - LABELS - 90;

/** A horizontal bar chart as SVG, readable on light and dark pages. */
export function barChart(title: string, unit: string, bars: readonly Bar[]): string {
  const most = Math.max(...bars.map(({ value }) => value));
  const height = 40 + bars.length * ROW + 8;
  const rows = bars.map(({ name, value, ours }, at) => {
    const y = 40 + at * ROW;
    const width = Math.max(1, Math.round((value / most) * BARS));
    const fill = ours ? '#2f6fde' : '#9aa4b2';
    return `  <text x="${LABELS - 10}" y="${y + 14}" text-anchor="end">${escaped(name)}</text>
  <rect x="${LABELS}" y="${y}" width="${width}" height="${ROW - 8}" rx="3" fill="${fill}"/>
  <text x="${LABELS + width + 8}" y="${y + 14}">${Math.round(value).toLocaleString('en')}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escaped(`${title}, ${unit}`)}">
  <style>text { font: 13px system-ui, sans-serif; fill: #57606a } @media (prefers-color-scheme: dark) { text { fill: #c9d1d9 } }</style>
  <text x="${LABELS}" y="22" font-weight="600">${escaped(`${title}, ${unit}`)}</text>
${rows.join('\n')}
</svg>
`;
}

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escaped = (text: string): string => text.replace(/[&<>"]/g, (sign) => ENTITIES[sign] ?? sign);
