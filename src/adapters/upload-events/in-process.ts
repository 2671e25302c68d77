import type { UploadEvent, UploadEvents } from '../../ports/upload-events.ts';

/** Events for listeners in the same process: enough when API and worker are one process. */
export class InProcessUploadEvents implements UploadEvents {
  readonly #listeners = new Set<(event: UploadEvent) => void>();

  get none(): boolean {
    return this.#listeners.size === 0;
  }

  async publish(event: UploadEvent): Promise<void> {
    for (const listener of [...this.#listeners]) {
      try {
        listener(event);
      } catch (error) {
        // One broken listener must not keep the event from the others, nor make the outbox send it for ever.
        process.emitWarning(error instanceof Error ? (error.stack ?? error.message) : String(error), 'UploadListenerWarning');
      }
    }
  }

  subscribe(listener: (event: UploadEvent) => void): () => void {
    // Wrapped, so that the same function subscribed twice is two subscriptions.
    const own = (event: UploadEvent): void => listener(event);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }
}
