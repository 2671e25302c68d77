import type { OutboxMessage, Upload, UploadSnapshot } from '../../../core/upload.ts';

/**
 * An upload as it is stored. Names chosen by clients (in the metadata, and in the messages, which show it) may hold dots
 * and dollars, which are operators in an update: those parts are JSON text.
 */
export interface UploadDocument extends Omit<UploadSnapshot, 'id' | 'metadata'> {
  _id: string;
  metadata: string;
  outbox: StoredOutbox;
}

/** Messages by the order in which they were written; a message never changes, and never comes back once it is taken out. */
interface StoredOutbox {
  ids: string[];
  /** The messages as JSON text, one for each id. */
  messages: string[];
  /** Of the messages that are there (epoch ms); no member at all when there are none, so that the index leaves the record out. */
  oldestAt?: number;
  size?: number;
}

export function toDocument({ id, metadata, outbox, ...members }: Upload): UploadDocument {
  return { _id: id, ...members, metadata: JSON.stringify(metadata), outbox: toStoredOutbox(outbox) };
}

export function toUpload({ _id, metadata, outbox, ...members }: UploadDocument): Upload {
  return { id: _id, ...members, metadata: JSON.parse(metadata), outbox: messagesOf(outbox) };
}

export const messagesOf = (outbox: StoredOutbox): OutboxMessage[] => outbox.messages.map((message) => JSON.parse(message));

export const oldestOf = (messages: readonly OutboxMessage[]): number => Math.min(...messages.map(({ at }) => at));

export const textsOf = (messages: readonly OutboxMessage[]): string[] => messages.map((message) => JSON.stringify(message));

export function toStoredOutbox(messages: readonly OutboxMessage[]): StoredOutbox {
  const stored = { ids: messages.map(({ id }) => id), messages: textsOf(messages) };
  return messages.length === 0 ? stored : { ...stored, oldestAt: oldestOf(messages), size: messages.length };
}
