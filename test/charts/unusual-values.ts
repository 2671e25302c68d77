import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { ciFile } from './helm.ts';

const trial = { devStack: { enabled: true } };
const production = parse(readFileSync(ciFile('production-values.yaml'), 'utf8'));
const LONGEST = 'a-release-whose-name-is-as-long-as-helm-lets-it-become'.slice(0, 53);
const monitors = { serviceMonitor: { enabled: true }, rules: { enabled: true }, dashboards: { enabled: true } };

export interface Unusual {
  about: string;
  release: string;
  values: object;
}

/** What people do with charts, and what a cluster must take all the same. */
export const UNUSUAL: Unusual[] = [
  { about: 'a long name of a release', release: LONGEST, values: { ...trial, metrics: monitors } },
  {
    about: 'a long name and a long chart name',
    release: LONGEST,
    values: { ...production, nameOverride: 'b'.repeat(40), metrics: monitors },
  },
  { about: 'dots in the name of a release', release: 'team.files.v2', values: { ...trial, networkPolicy: { enabled: true } } },
  { about: 'fullnameOverride', release: 'up', values: { ...production, fullnameOverride: 'c'.repeat(40) } },
  { about: 'a release that begins with a digit', release: '2up', values: { ...production, fullnameOverride: 'two-up' } },
  { about: 'an upgrade to IPv6', release: 'up', values: { ...trial, listenAddress: '::' } },
  {
    about: 'direct uploads on a shared drive, without S3 and workers',
    release: 'up',
    values: {
      ...production,
      externalS3: {},
      strategies: ['direct'],
      storage: { mode: 'Shared', shared: { existingClaim: 'drive.of-all' } },
      relay: { replicas: 0 },
    },
  },
  {
    about: 'presigned uploads alone',
    release: 'up',
    values: { ...production, internal: {}, storage: { mode: 'None' }, relay: { replicas: 1, pdb: { enabled: true } } },
  },
  { about: 'one of everything', release: 'up', values: { ...production, api: { replicas: 1 }, relay: { replicas: 1 } } },
  {
    about: 'servers by load, workers by queue',
    release: 'up',
    values: {
      ...production,
      storage: { mode: 'Shared' },
      api: { autoscaling: { enabled: true, targetCPU: null, targetMemory: 75 } },
      relay: { keda: { enabled: true } },
    },
  },
  {
    about: 'numbers, signs and empty texts where texts go',
    release: 'up',
    values: {
      ...production,
      commonLabels: { cost: '0042', 'example.com/on': 'true' },
      commonAnnotations: { 'example.com/notes': 'a: "b"\nc' },
      settings: { CORS_ORIGINS: '*', MAX_UPLOAD_BYTES: 1099511627776, ALLOWED_TYPES: 'image/*,text/x-c++', LOG_LEVEL: null },
      image: { registry: '', repository: 'registry.example.com:5000/team/windlass', tag: '1.10' },
      api: { extraEnv: [{ name: 'NODE_OPTIONS', value: '--max-old-space-size=300' }], podAnnotations: { 'example.com/port': '9090' } },
    },
  },
  {
    about: 'a mirror and digests',
    release: 'up',
    values: {
      devStack: { enabled: true, minio: { image: { digest: `sha256:${'d'.repeat(64)}` } } },
      global: { imageRegistry: 'mirror.example.com:5000', imagePullSecrets: ['mirror', 'other.mirror'] },
      image: { registry: 'ignored.example.com', digest: `sha256:${'e'.repeat(64)}`, pullSecrets: ['mirror'] },
    },
  },
  {
    about: 'a sidecar, names of hosts and a resolver of one’s own',
    release: 'up',
    values: {
      ...production,
      extraInitContainers: [
        { name: 'proxy', image: 'proxy:1', restartPolicy: 'Always', securityContext: restricted(), args: ['--port={{ 27017 }}'] },
      ],
      hostAliases: [{ ip: '10.1.2.3', hostnames: ['s3.internal'] }],
      dnsConfig: { options: [{ name: 'ndots', value: '1' }] },
    },
  },
  {
    about: 'both ways in, with TLS',
    release: 'up',
    values: {
      ...production,
      httpRoute: { enabled: true, parentRefs: [{ name: 'public', namespace: 'gateways' }], hostnames: ['*.example.com'] },
      ingress: {
        enabled: true,
        className: 'traefik',
        hosts: ['files.example.com', '*.files.example.com'],
        tls: [{ hosts: ['files.example.com'] }],
      },
      publicUrl: 'https://files.example.com/',
    },
  },
];

function restricted(): object {
  return { allowPrivilegeEscalation: false, runAsNonRoot: true, capabilities: { drop: ['ALL'] } };
}
