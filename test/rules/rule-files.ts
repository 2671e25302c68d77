import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));
export const RULES = join(ROOT, 'charts/windlass/files/rules');
const DASHBOARDS = join(ROOT, 'charts/windlass/files/dashboards');

export interface Rule {
  file: string;
  alert?: string;
  record?: string;
  expr: string;
  for?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
}

export const ruleFiles = (): string[] => readdirSync(RULES).sort();

export const rules = (): Rule[] =>
  ruleFiles().flatMap((file) =>
    (parse(readFileSync(join(RULES, file), 'utf8')).groups as { rules: Omit<Rule, 'file'>[] }[]).flatMap((group) =>
      group.rules.map((rule) => ({ ...rule, file })),
    ),
  );

export interface PanelQuery {
  dashboard: string;
  panel: string;
  expr: string;
}

interface Dashboard {
  uid: string;
  title: string;
  panels: { type: string; title: string; links?: { url: string }[]; targets?: { expr: string }[] }[];
}

export const dashboards = (): Dashboard[] =>
  readdirSync(DASHBOARDS).map((file) => JSON.parse(readFileSync(join(DASHBOARDS, file), 'utf8')) as Dashboard);

export const panelQueries = (): PanelQuery[] =>
  dashboards().flatMap(({ title, panels }) =>
    panels.flatMap(({ title: panel, targets = [] }) => targets.map(({ expr }) => ({ dashboard: title, panel, expr }))),
  );
