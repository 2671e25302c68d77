import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { carryOutFileCalls, isFileCall } from '../disk/file-operations.ts';
import type { BackgroundOptions } from './background.ts';
import type { NamedCall, Request } from './messages.ts';

const { database: kept } = workerData as BackgroundOptions;
/** Where the database is another server, no SQLite is loaded. */
const sqlite = kept ? new (await import('../sqlite/service.ts')).SqliteService(kept) : null;

/** The background thread: carries out whatever has arrived in its mailbox. */
function serve(port: MessagePort): void {
  port.on('message', (first: Request) => {
    const requests = [first, ...waiting(port)];
    const calls = Map.groupBy(requests.flatMap(callsOf), ({ name }) => (isFileCall(name) ? 'files' : 'database'));
    const [files, database] = [calls.get('files'), calls.get('database')];
    // Files take microseconds, a commit may take milliseconds.
    if (files) port.postMessage(carryOutFileCalls(files));
    if (database) {
      if (!sqlite) throw new Error('there is no database here');
      for (const reply of sqlite.carryOut(database)) port.postMessage(reply);
    }
    if (requests.some(({ close }) => close)) {
      sqlite?.close();
      port.close();
    }
  });
}

function* waiting(port: MessagePort): Generator<Request> {
  for (let next = receiveMessageOnPort(port); next; next = receiveMessageOnPort(port)) yield next.message;
}

const callsOf = ({ ids, names, args }: Request): NamedCall[] => ids.map((id, i) => ({ id, name: names[i] as string, args: args[i] ?? [] }));

if (parentPort) serve(parentPort);
