/** How many iterations a device does before it is asked for their figures. */

/** Seconds of work between read-backs, so that progress is seen and Ctrl-C heard. */
const SECONDS = 1;
/** Growth from one batch to the next at most: the first iterations compile kernels. */
const GROWTH = 4;

export class Pace {
  readonly #fixed: number | undefined;
  #next = 1;

  /** @param fixed so many each time, whatever they take */
  constructor(fixed?: number) {
    this.#fixed = fixed;
  }

  /** Does at most `left` iterations; from the time they take follows how many the next call does. */
  async timed<T>(work: (most: number) => Promise<T[]>, left: number): Promise<T[]> {
    const most = Math.min(this.#fixed ?? this.#next, left);
    const from = performance.now();
    const result = await work(most);
    const each = (performance.now() - from) / 1000 / result.length;
    this.#next = Math.max(1, Math.min(GROWTH * result.length, Math.floor(SECONDS / each)));
    return result;
  }
}
