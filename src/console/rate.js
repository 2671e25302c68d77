const WINDOW_MS = 5000;
const SHORTEST_MS = 500;

/** Speed over the last seconds, so that a pause or a burst shows soon and the figure still does not jump. */
export class Rate {
  #samples = [];

  add(sent, now) {
    // A part that is sent again takes the total back: what came before no longer counts.
    if (sent < (this.#samples.at(-1)?.sent ?? 0)) this.#samples = [];
    this.#samples.push({ sent, now });
    while (this.#samples.length > 2 && now - this.#samples[0].now > WINDOW_MS) this.#samples.shift();
  }

  /** Bytes per second, null while there is too little to tell. */
  at(now) {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (!first || now - first.now < SHORTEST_MS) return null;
    return ((last.sent - first.sent) * 1000) / (now - first.now);
  }
}
