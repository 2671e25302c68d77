/** What a team would write in an afternoon: Koa and @koa/multer, files to disk, no hash, no flush, no record. */

import { randomUUID } from 'node:crypto';
import { createWriteStream, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import multer from '@koa/multer';
import Router from '@koa/router';
import Koa from 'koa';

const folder = process.env.DATA_DIR ?? './data';
mkdirSync(folder, { recursive: true });
const upload = multer({ dest: folder });
const router = new Router();
router.post('/form', upload.single('file') as never, (ctx) => {
  ctx.status = 201;
  ctx.body = { id: randomUUID() };
});
router.put('/raw', async (ctx) => {
  const id = randomUUID();
  await pipeline(ctx.req, createWriteStream(join(folder, id)));
  ctx.status = 201;
  ctx.body = { id };
});
new Koa().use(router.routes()).listen(Number(process.env.PORT), '127.0.0.1');
