import type { UploadView } from './api-client.ts';

export interface ServerSentEvent {
  id: number;
  upload: UploadView;
}

/** Reads server-sent events until the server ends the stream. Comments and `retry` are passed over. */
export async function readEvents(response: Response): Promise<ServerSentEvent[]> {
  const blocks = (await response.text()).split('\n\n').filter((block) => /^data:/m.test(block));
  return blocks.map((block) => ({
    id: Number(/^id: ?(.*)$/m.exec(block)?.[1]),
    upload: JSON.parse(/^data: ?(.*)$/m.exec(block)?.[1] ?? 'null'),
  }));
}
