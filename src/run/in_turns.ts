/** Long synchronous work that leaves the event loop its turn: Ctrl-C is heard, progress is drawn. */
import { AbortedError } from "../errors.ts";

/** Milliseconds of work between two turns. */
const TURN = 50;

/**
 * Runs a generator to its end and gives what it returns; in between, every {@link TURN} ms, timers and
 * signals are seen to.
 *
 * @param onStep called with what it yields, at each turn
 * @throws AbortedError once `signal` is aborted
 */
export async function inTurns<T>(
  work: Generator<number, T>,
  signal?: AbortSignal,
  onStep?: (done: number) => void,
): Promise<T> {
  let last = performance.now();
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
    if (performance.now() - last < TURN) continue;
    onStep?.(value);
    await new Promise((resolve) => setTimeout(resolve, 0));
    if (signal?.aborted) throw new AbortedError();
    last = performance.now();
  }
}
