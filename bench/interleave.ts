/**
 * Timing of several jobs in one run: rounds A B C A B C ... in this process's CPU time, so that other
 * programs on the machine count little, and the fastest round of each. Ratios of such times carry
 * over to other machines. For jobs of one thread.
 */
import process from "node:process";

export interface TimedJob {
  readonly name: string;
  run(): void;
}

function cpuMilliseconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Fastest CPU time of each job, milliseconds. The first rounds warm V8's tiers up and do not count. */
export function interleave(jobs: readonly TimedJob[], rounds = 25, warmup = 5): number[] {
  const fastest = jobs.map(() => Infinity);
  for (let round = -warmup; round < rounds; round++) {
    jobs.forEach((job, k) => {
      const start = cpuMilliseconds();
      job.run();
      const elapsed = cpuMilliseconds() - start;
      if (round >= 0) fastest[k] = Math.min(fastest[k], elapsed);
    });
  }
  return fastest;
}
