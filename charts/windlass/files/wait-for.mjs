// Ends once every server named as host:port takes connections.
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

// Process 1 gets no default action for signals.
process.on('SIGTERM', () => process.exit(1));
for (const server of process.argv.slice(1)) {
  const [host, port] = server.split(':');
  for (let accepted = false; !accepted; ) {
    const socket = connect({ host, port: Number(port) });
    accepted = await once(socket, 'connect', { signal: AbortSignal.timeout(2000) }).then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (accepted) break;
    console.log(`waiting for ${server}`);
    await pause(1000);
  }
}
