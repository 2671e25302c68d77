import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT } from '../charts/helm.ts';
import { applied, IMAGE, isFerret, RESTRICTED } from './cluster.ts';

const NAME = 'mongo-line';

/** The line listens on loopback, at a port of its own; this leads to it from other pods. */
const PROGRAM = `
import { connect as toLine, createServer as createEntry } from 'node:net';
const line = await openMongoLine({ target: () => ({ host: process.env.MONGODB_HOST, port: 27017 }), oneAtATime: true });
const port = Number(line.address.split(':')[1]);
process.on('SIGTERM', () => process.exit(0));
createEntry((client) => {
  const upstream = toLine(port, '127.0.0.1');
  for (const [from, to] of [[client, upstream], [upstream, client]]) from.on('error', () => undefined).on('close', () => to.destroy()).pipe(to);
}).listen(27017, '0.0.0.0');
`;

/**
 * FerretDB on SQLite keeps what MongoDB promises about the update of one document only when commands come one at a time:
 * a pod in front of it sees to that. The values that lead Windlass through it; none where the database is MongoDB itself.
 */
export async function atomicMongo(namespace: string, release = 'up'): Promise<string[]> {
  if (!isFerret) return [];
  const source = await readFile(join(ROOT, 'test/support/mongo-line.ts'), 'utf8');
  // As part of the release: its servers for trials are reached by its own pods only.
  const labels = { 'app.kubernetes.io/instance': release, app: NAME };
  const container = {
    name: NAME,
    image: IMAGE,
    // Where the packages are that it imports.
    workingDir: '/app',
    command: ['node', '--input-type=module-typescript', '--eval', source + PROGRAM],
    env: [{ name: 'MONGODB_HOST', value: `${release}-dev-mongodb` }],
    securityContext: RESTRICTED.container,
  };
  const spec = { securityContext: RESTRICTED.pod, enableServiceLinks: false, terminationGracePeriodSeconds: 1, containers: [container] };
  await applied(namespace, [
    { apiVersion: 'v1', kind: 'Pod', metadata: { name: NAME, labels }, spec },
    { apiVersion: 'v1', kind: 'Service', metadata: { name: NAME }, spec: { selector: { app: NAME }, ports: [{ port: 27017 }] } },
    { apiVersion: 'v1', kind: 'Secret', metadata: { name: NAME }, stringData: { uri: `mongodb://${NAME}:27017/windlass` } },
  ]);
  return ['--set', `externalMongodb.existingSecret=${NAME}`];
}
