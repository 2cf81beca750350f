/** Long work in turns with the event loop: its result, its progress, and that it can be stopped. */
import assert from "node:assert/strict";
import { AbortedError } from "../src/errors.ts";
import { inTurns } from "../src/run/in_turns.ts";

/** Steps of 20 ms each. */
function* work(steps: number): Generator<number, string> {
  for (let k = 1; k <= steps; k++) {
    const end = performance.now() + 20;
    while (performance.now() < end);
    yield k;
  }
  return "done";
}

Deno.test("work in turns gives its result and tells how far it is", async () => {
  const seen: number[] = [];
  assert.equal(await inTurns(work(10), undefined, (done) => seen.push(done)), "done");
  assert.ok(seen.length > 0 && seen.every((k, i) => i === 0 || k > seen[i - 1]), `${seen}`);
});

Deno.test("work in turns ends when a timer aborts it", async () => {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), 100);
  // A minute's work: without turns the timer would fire after it.
  await assert.rejects(inTurns(work(3000), controller.signal), AbortedError);
  clearTimeout(timer);
});
