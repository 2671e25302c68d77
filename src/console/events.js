/**
 * The messages of an event stream (HTML standard, server-sent events). EventSource would read them too, but sends no
 * token. Yields `{ id, data }`; ends with the stream.
 */
export async function* messagesOf(stream) {
  let message = { id: null, data: [] };
  for await (const line of linesOf(stream)) {
    if (line !== '') read(line, message);
    else if (message.data.length > 0) {
      yield { id: message.id, data: message.data.join('\n') };
      message = { id: message.id, data: [] };
    }
  }
}

/** Whole lines only: what a broken connection cuts off is dropped. */
async function* linesOf(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  try {
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      const lines = (rest + chunk.value).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      yield* lines;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

function read(line, message) {
  const [, field, value] = /^([^:]*)(?:: ?(.*))?$/s.exec(line);
  if (field === 'data') message.data.push(value ?? '');
  else if (field === 'id') message.id = value ?? '';
}
