import type { Tracker } from '../client/order.ts';
import { formatBytes, formatSeconds } from './text.ts';

const REDRAW_MS = 200;
const PLAIN_MS = 10_000;
/** How quickly the shown speed follows the real one: about so many ms. */
const SMOOTHING_MS = 3000;

export interface Screen {
  isTTY?: boolean;
  columns?: number;
  write(text: string): unknown;
}

interface Totals {
  files: number;
  /** Bytes of all files; null when one of them has no known size. */
  bytes: number | null;
}

/** One line about all files together: redrawn in place on a terminal, written now and then elsewhere. */
export class ProgressLine {
  readonly #screen: Screen;
  readonly #clock: () => number;
  readonly #totals: Totals;
  readonly #timer: NodeJS.Timeout;
  #stage = '';
  #done = 0;
  #through = 0;
  #recent = 0;
  #rate = 0;
  #measuredAt: number;
  #drawn = false;

  constructor(screen: Screen, clock: () => number, totals: Totals) {
    this.#screen = screen;
    this.#clock = clock;
    this.#totals = totals;
    this.#measuredAt = clock();
    this.#timer = setInterval(() => this.#tick(), screen.isTTY ? REDRAW_MS : PLAIN_MS).unref();
  }

  tracker(): Tracker {
    return {
      stage: (name) => {
        this.#stage = name;
      },
      sent: (bytes) => {
        this.#through += bytes;
        this.#recent += Math.max(bytes, 0);
      },
      kept: (bytes) => {
        this.#through += bytes;
      },
    };
  }

  fileDone(): void {
    this.#done++;
  }

  /** Writes a line above the progress. */
  print(stream: Screen, text: string): void {
    this.#clear();
    stream.write(text);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#clear();
  }

  #clear(): void {
    if (this.#drawn) this.#screen.write('\r\x1b[K');
    this.#drawn = false;
  }

  #tick(): void {
    const now = this.#clock();
    const span = Math.max(now - this.#measuredAt, 1);
    const weight = this.#rate === 0 ? 1 : Math.min(span / SMOOTHING_MS, 1);
    this.#rate += (this.#recent / (span / 1000) - this.#rate) * weight;
    this.#recent = 0;
    this.#measuredAt = now;
    if (!this.#screen.isTTY) return void this.#screen.write(`${this.#text()}\n`);
    this.#screen.write(`\r${this.#text().slice(0, (this.#screen.columns || 80) - 1)}\x1b[K`);
    this.#drawn = true;
  }

  #text(): string {
    const { files, bytes } = this.#totals;
    const counted = files > 1 ? [`${this.#done} of ${files} files`] : [];
    if (this.#stage !== 'sending' && (files === 1 || this.#through === bytes)) return [this.#stage, ...counted].join('  ');
    if (bytes === null) return [`sent ${formatBytes(this.#through)}`, `${formatBytes(this.#rate)}/s`, ...counted].join('  ');
    const share = bytes === 0 ? 0 : this.#through / bytes;
    const left = this.#rate > 0 ? [`${formatSeconds((bytes - this.#through) / this.#rate)} left`] : [];
    const percent = `${String(Math.floor(share * 100)).padStart(3)}%`;
    return [
      bar(share) + percent,
      `${formatBytes(this.#through)} of ${formatBytes(bytes)}`,
      `${formatBytes(Math.round(this.#rate))}/s`,
      ...left,
      ...counted,
    ].join('  ');
  }
}

function bar(share: number): string {
  const full = Math.round(Math.min(Math.max(share, 0), 1) * 20);
  return `[${'#'.repeat(full)}${'.'.repeat(20 - full)}]`;
}
