import type { KubeObject } from './helm.ts';

export interface Container {
  name: string;
  image: string;
  args?: string[];
  // biome-ignore lint/suspicious/noExplicitAny: many fields, few looked at.
  [field: string]: any;
}

export interface Pod {
  /** `Kind name` of what makes it. */
  of: string;
  labels: Record<string, string>;
  annotations: Record<string, string>;
  // biome-ignore lint/suspicious/noExplicitAny: many fields, few looked at.
  spec: any;
  containers: Container[];
}

/** Every pod that objects describe, whatever makes it. */
export function podsOf(objects: readonly KubeObject[]): Pod[] {
  return objects.flatMap((object) => {
    const { kind, metadata, spec } = object;
    const template = kind === 'Pod' ? object : kind === 'CronJob' ? spec.jobTemplate.spec.template : spec?.template;
    if (!template?.spec?.containers) return [];
    const { labels, annotations = {} } = template.metadata;
    const containers = [...(template.spec.initContainers ?? []), ...template.spec.containers];
    return [{ of: `${kind} ${metadata.name}`, labels, annotations, spec: template.spec, containers }];
  });
}

export const selects = (selector: Record<string, string>, labels: Record<string, string>): boolean =>
  Object.entries(selector).every(([name, value]) => labels[name] === value);

/** Throws unless there is exactly one. */
export function one(objects: readonly KubeObject[], kind: string, name: string): KubeObject {
  const [found, ...more] = objects.filter((object) => object.kind === kind && object.metadata.name === name);
  if (!found || more.length > 0) throw new Error(`${found ? 'several' : 'no'} ${kind} ${name}`);
  return found;
}

/** The environment variables of a container by name; a reference as it is. */
export const envOf = (container: Container): Record<string, unknown> =>
  Object.fromEntries((container.env ?? []).map(({ name, value, valueFrom }: Record<string, string>) => [name, value ?? valueFrom]));
