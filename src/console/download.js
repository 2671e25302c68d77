import { Problem } from './problem.js';

/** What is held in memory at most, where the browser cannot write to a file while it receives. */
const MEMORY_BYTES = 256 * 1024 ** 2;

/**
 * Saves the content of an upload when a token is needed: a plain link cannot carry one, so the bytes are fetched through
 * the server. They are written to the chosen file as they come where the browser can do that; elsewhere small files
 * go through memory, and large ones are refused with the command that fetches them.
 */
export async function saveWithToken(api, { id, filename, size, url }) {
  const picker = globalThis.showSaveFilePicker;
  const target = picker ? await picker({ suggestedName: filename }) : null;
  if (!target && size > MEMORY_BYTES) throw tooLarge(url);
  const response = await api.fetch(`v1/uploads/${id}/content?stream=1`);
  if (target) await response.body.pipeTo(await target.createWritable());
  else offer(await response.blob(), filename);
}

function offer(blob, filename) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = filename;
  link.click();
  // The browser takes the bytes over after this turn; a minute is plenty.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

const tooLarge = (url) =>
  new Problem({
    code: 'too_large_for_page',
    title: 'Too large for this browser',
    detail: `It cannot save while it receives. Fetch it with \`curl --location --remote-header-name --remote-name --header "Authorization: Bearer $TOKEN" ${url}\`.`,
  });
