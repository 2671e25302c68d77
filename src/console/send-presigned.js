import { lostAt } from './problem.js';
import { sendParts } from './send-parts.js';
import { isDead } from './states.js';
import { sendBody, typeOf } from './transfer.js';

/**
 * Strategy 3: the server signs, the browser sends the bytes straight to the object store, the server checks them.
 * Resolves with the upload. What was begun in parts goes on where it ended, in this page or after a reload.
 */
export async function sendPresigned(task) {
  const { api, file, resource, options, unfinished, report } = task;
  const begun = (await resumed(task)) ?? (await begin(task));
  task.known(begun);
  if (begun.upload.state === 'pending') {
    if (begun.multipart) await sendParts({ ...task, id: begun.upload.id, plan: begun.multipart });
    else await sendOnce(task, begun);
  }
  report({ sent: file.size, wait: null, checking: true });
  const upload = begun.upload.state === 'pending' ? await api.complete(begun.upload.id, resource, options) : begun.upload;
  unfinished.forget(file, upload.id);
  return upload;
}

/** The same key gives the same upload again; one that has come to nothing since calls for a new key. */
async function begin({ api, file, resource, key, renewKey, options, unfinished }) {
  const order = { filename: file.name.toWellFormed(), contentType: typeOf(file), size: file.size, ...(resource ? { resource } : {}) };
  let begun = await api.presign(order, key, options);
  if (isDead(begun.upload.state)) begun = await api.presign(order, renewKey(), options);
  if (begun.multipart) unfinished.remember(file, begun);
  return begun;
}

/** What was begun for the same file, if the server still waits for it. */
async function resumed({ api, file, begun, options, unfinished }) {
  const entry = begun?.multipart ? { id: begun.upload.id, multipart: begun.multipart } : unfinished.take(file);
  if (!entry) return null;
  const upload = await api.get(entry.id, options).catch((problem) => {
    if (problem.status === 404 || problem.status === 410) return null;
    throw problem;
  });
  if (upload && !isDead(upload.state)) return { upload, multipart: entry.multipart };
  unfinished.forget(file, entry.id);
  return null;
}

/** A link may run out while the file waits for its turn: then a fresh one is used, once. */
async function sendOnce({ api, file, signal, options, slots, report }, { upload, request }) {
  const onProgress = (sent) => report({ sent, wait: null });
  const send = ({ method, url, headers }) =>
    slots.run(() => sendBody({ method, url, headers, body: file, signal, lost: lostAt(url), onProgress }), signal);
  await send(request).catch(async (problem) => {
    if (problem.status !== 403) throw problem;
    onProgress(0);
    await send(await api.link(upload.id, options));
  });
}
