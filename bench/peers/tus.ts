/** @tus/server with its file store; uploads are sent with their creation, in one request. */
import { FileStore } from '@tus/file-store';
import { Server } from '@tus/server';

const server = new Server({
  path: '/files',
  datastore: new FileStore({ directory: process.env.DATA_DIR ?? './data' }),
  relativeLocation: true,
});
server.listen({ host: '127.0.0.1', port: Number(process.env.PORT) });
