import { connectionLost } from './problem.js';
import { retrying } from './retry.js';
import { sendBody, typeOf } from './transfer.js';

const ATTEMPTS = 5;
const LOST = connectionLost(
  'The connection broke before the server answered. Try again: the same upload is never made twice. If it breaks at once each time, the file may be larger than this server, or a proxy before it, takes.',
);

/** Strategies 1 and 2: the file is the body of one request to this server. Resolves with the upload. */
export async function sendWhole({ api, file, strategy, resource, key, signal, slots, report }) {
  const query = resource ? `?${new URLSearchParams({ resourceType: resource.type, resourceId: resource.id })}` : '';
  const send = () =>
    sendBody({
      method: 'POST',
      url: api.address(`v1/uploads/${strategy}${query}`),
      headers: {
        ...api.authorization(),
        'Idempotency-Key': key,
        'Content-Type': typeOf(file),
        'Content-Disposition': `attachment; filename*=UTF-8''${encodeName(file.name)}`,
      },
      body: file,
      signal,
      lost: LOST,
      onProgress: (sent) => report({ sent, wait: null }),
    });
  // A whole file is sent again by itself only when the server asks for that; after a broken connection people decide.
  const again = (problem) => problem.passing && problem.retryAfter !== null;
  const onWait = (wait) => report({ sent: 0, wait });
  const { text } = await retrying(() => slots.run(send, signal), { attempts: ATTEMPTS, signal, again, onWait });
  return JSON.parse(text);
}

/** RFC 8187 `ext-value`: encodeURIComponent leaves four characters alone that are not allowed there. */
const encodeName = (name) =>
  encodeURIComponent(name.toWellFormed()).replaceAll(/['()*]/g, (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`);
