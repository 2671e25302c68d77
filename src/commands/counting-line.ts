import type { Screen } from './progress-line.ts';

const REDRAW_MS = 200;
const PLAIN_MS = 10_000;

/** One line that says how far a long command is: redrawn in place on a terminal, written now and then elsewhere. */
export class CountingLine {
  readonly #screen: Screen;
  readonly #clock: () => number;
  #shownAt: number;

  constructor(screen: Screen, clock: () => number) {
    this.#screen = screen;
    this.#clock = clock;
    this.#shownAt = clock();
  }

  show(text: string): void {
    const now = this.#clock();
    if (now - this.#shownAt < (this.#screen.isTTY ? REDRAW_MS : PLAIN_MS)) return;
    this.#shownAt = now;
    this.#screen.write(this.#screen.isTTY ? `\r\x1b[K${text.slice(0, (this.#screen.columns ?? 80) - 1)}` : `${text}\n`);
  }

  end(): void {
    if (this.#screen.isTTY) this.#screen.write('\r\x1b[K');
  }
}
