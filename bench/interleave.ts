/**
 * Timing of several jobs in one run: rounds A B C A B C ..., so that a busy machine slows all alike,
 * and the fastest round of each. Ratios of such times carry over to other machines.
 */

export interface TimedJob {
  readonly name: string;
  run(): void;
}

/** Fastest time of each job, milliseconds. The first rounds warm V8's tiers up and do not count. */
export function interleave(jobs: readonly TimedJob[], rounds = 25, warmup = 5): number[] {
  const fastest = jobs.map(() => Infinity);
  for (let round = -warmup; round < rounds; round++) {
    jobs.forEach((job, k) => {
      const start = performance.now();
      job.run();
      const elapsed = performance.now() - start;
      if (round >= 0) fastest[k] = Math.min(fastest[k], elapsed);
    });
  }
  return fastest;
}
