import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { carryOutFileCalls, isFileCall } from '../disk/file-operations.ts';
import type { BackgroundOptions } from './background.ts';
import type { NamedCall, Request } from './messages.ts';

const { database } = workerData as BackgroundOptions;
/** Where the database is another server, no SQLite is loaded. */
const sqlite = database ? new (await import('../sqlite/service.ts')).SqliteService(database) : null;

/** The background thread: carries out whatever has arrived in its mailbox. */
function serve(port: MessagePort): void {
  port.on('message', (first: Request) => {
    const requests = [first, ...waiting(port)];
    const calls = requests.flatMap(callsOf);
    const files = calls.filter(({ name }) => isFileCall(name));
    // Files take microseconds, a commit may take milliseconds.
    if (files.length > 0) port.postMessage(carryOutFileCalls(files));
    if (files.length < calls.length) {
      if (!sqlite) throw new Error('there is no database here');
      for (const reply of sqlite.carryOut(calls.filter(({ name }) => !isFileCall(name)))) port.postMessage(reply);
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
