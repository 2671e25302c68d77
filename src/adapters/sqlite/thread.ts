import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { type Call, carryOut, commit } from './batch.ts';
import { Connection } from './connection.ts';
import type { Request } from './messages.ts';
import type { Operation } from './operation.ts';
import { OPERATIONS } from './operations.ts';

/** The database thread: carries out whatever has arrived in its mailbox, with one commit for all its writes. */
function serve(port: MessagePort, connection: Connection): void {
  port.on('message', (first: Request) => {
    const requests = [first, ...waiting(port)];
    const calls = requests.flatMap(callsOf);
    const reads = calls.filter(({ operation }) => !operation.writes);
    const writes = calls.filter(({ operation }) => operation.writes);
    // Nobody has been told of the writes yet, so reads need not wait for them.
    if (reads.length > 0) port.postMessage(carryOut(connection, reads));
    if (writes.length > 0) port.postMessage(commit(connection, writes));
    if (requests.some(({ close }) => close)) {
      connection.close();
      port.close();
    }
  });
}

function* waiting(port: MessagePort): Generator<Request> {
  for (let next = receiveMessageOnPort(port); next; next = receiveMessageOnPort(port)) yield next.message;
}

function callsOf({ ids, names, args }: Request): Call[] {
  return ids.map((id, i) => ({
    id,
    operation: OPERATIONS[names[i] as keyof typeof OPERATIONS] as unknown as Operation,
    args: args[i] ?? [],
  }));
}

if (parentPort) serve(parentPort, new Connection(workerData.file, workerData.options));
