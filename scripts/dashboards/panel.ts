/** The parts of Grafana's dashboards that ours are made of. Panels are placed in rows of 24 columns, in their order. */

interface Query {
  expr: string;
  /** How series are named: `{{strategy}}`. */
  legend?: string;
}

interface Step {
  color: 'green' | 'orange' | 'red' | 'blue';
  /** From this value on; null for the lowest. */
  value: number | null;
}

interface PanelOptions {
  title: string;
  about: string;
  type?: 'timeseries' | 'stat' | 'state-timeline';
  unit?: string;
  width?: number;
  height?: number;
  queries: Query[];
  thresholds?: Step[];
  min?: number;
  max?: number;
  /** The alert whose runbook the panel leads to. */
  runbook?: string;
  stack?: boolean;
}

type Item = { row: string } | PanelOptions | { alerts: string };

export interface DashboardOptions {
  uid: string;
  title: string;
  about: string;
  /** Variables beside data source, namespace and release. */
  variables?: object[];
  items: Item[];
}

/** Where a server of one's own serves them; the chart puts `publicUrl` or `metrics.rules.runbookUrl` in its place. */
const RUNBOOKS = 'http://localhost:8080/docs/runbooks/';
const DATASOURCE = { type: 'prometheus', uid: '$datasource' };
const COLUMNS = 24;

/** The selector of all panels. A label that is not there matches `.*`, too. */
export const WHERE = 'namespace=~"$namespace",release=~"$release"';

export const labelVariable = (name: string, label: string, metric: string): object => ({
  name,
  label,
  type: 'query',
  datasource: DATASOURCE,
  query: { query: `label_values(${metric}, ${name})`, refId: name },
  refresh: 2,
  sort: 1,
  multi: true,
  includeAll: true,
  allValue: '.*',
  current: { selected: true, text: ['All'], value: ['$__all'] },
});

export const textVariable = (name: string, label: string, value: string): object => ({
  name,
  label,
  type: 'textbox',
  query: value,
  current: { text: value, value },
});

export function dashboard({ uid, title, about, variables = [], items }: DashboardOptions): object {
  return {
    uid,
    title,
    description: about,
    tags: ['windlass'],
    timezone: 'browser',
    schemaVersion: 39,
    refresh: '30s',
    time: { from: 'now-6h', to: 'now' },
    graphTooltip: 1,
    links: [{ type: 'dashboards', title: 'Windlass', tags: ['windlass'], asDropdown: true, includeVars: true, keepTime: true }],
    templating: {
      list: [
        { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus', current: {} },
        labelVariable('namespace', 'Namespace', 'windlass_build_info'),
        labelVariable('release', 'Release', 'windlass_build_info{namespace=~"$namespace"}'),
        ...variables,
      ],
    },
    panels: placed(items),
  };
}

function placed(items: readonly Item[]): object[] {
  let x = 0;
  let y = 0;
  let tallest = 0;
  const newLine = (): void => {
    y += tallest;
    x = 0;
    tallest = 0;
  };
  return items.map((item, index) => {
    const { w, h } = sizeOf(item);
    if (x + w > COLUMNS) newLine();
    const gridPos = { x, y, w, h };
    x += w;
    tallest = Math.max(tallest, h);
    return { id: index + 1, ...panelOf(item), gridPos };
  });
}

function sizeOf(item: Item): { w: number; h: number } {
  if ('row' in item) return { w: COLUMNS, h: 1 };
  if ('alerts' in item) return { w: 12, h: 7 };
  const { type, width, height } = item;
  return { w: width ?? (type === 'stat' ? 4 : 8), h: height ?? (type === 'stat' ? 4 : 7) };
}

function panelOf(item: Item): object {
  if ('row' in item) return { type: 'row', title: item.row, collapsed: false, panels: [] };
  if ('alerts' in item)
    return {
      type: 'alertlist',
      title: item.alerts,
      options: { alertName: 'Windlass', stateFilter: { firing: true, pending: true }, viewMode: 'list', maxItems: 20, sortOrder: 1 },
    };
  const { title, about, type = 'timeseries', unit = 'short', queries, thresholds, min, max, runbook, stack } = item;
  const bounds = { ...(min === undefined ? {} : { min }), ...(max === undefined ? {} : { max }) };
  const steps = thresholds ?? [{ color: 'green', value: null }];
  const custom = type === 'timeseries' ? { custom: timeseries(stack ?? false, thresholds !== undefined) } : {};
  return {
    type,
    title,
    description: about,
    datasource: DATASOURCE,
    ...(runbook ? { links: [{ title: `Runbook: ${runbook}`, url: `${RUNBOOKS}${runbook}.md`, targetBlank: true }] } : {}),
    fieldConfig: { defaults: { unit, ...bounds, thresholds: { mode: 'absolute', steps }, ...custom }, overrides: [] },
    options: type === 'stat' ? { reduceOptions: { calcs: ['lastNotNull'] }, colorMode: 'value', graphMode: 'area' } : {},
    targets: queries.map(({ expr, legend = '' }, index) => ({
      refId: String.fromCharCode(65 + index),
      datasource: DATASOURCE,
      expr,
      legendFormat: legend,
    })),
  };
}

const timeseries = (stack: boolean, thresholds: boolean): object => ({
  drawStyle: 'line',
  lineWidth: 1,
  fillOpacity: stack ? 40 : 5,
  stacking: { mode: stack ? 'normal' : 'none' },
  showPoints: 'never',
  thresholdsStyle: { mode: thresholds ? 'line' : 'off' },
});
