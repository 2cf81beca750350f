/** HMC chains of a cluster at their own settings: converged, agreeing with each other and a known mean. */
import assert from "node:assert/strict";
import { WasmExecutor } from "../src/backends/wasm/executor.ts";
import { loadConfig } from "../src/config/load.ts";
import { initialiseMint } from "../src/mint/start.ts";
import { chainStarts } from "../src/run/path.ts";
import { chainStatistics } from "../src/sampling/chain_statistics.ts";
import { exactValues } from "../src/sampling/exact.ts";
import { meanDistances } from "../src/sampling/observables.ts";
import { createSystem } from "../src/systems/create.ts";

const DRAWS = 60;

/** Largest distance between two empirical distribution functions. */
function kolmogorovSmirnov(a: Float64Array, b: Float64Array): number {
  const [x, y] = [a.slice().sort(), b.slice().sort()];
  let i = 0, j = 0, largest = 0;
  while (i < x.length && j < y.length) {
    const at = Math.min(x[i], y[j]);
    while (x[i] <= at) i++;
    while (y[j] <= at) j++;
    largest = Math.max(largest, Math.abs(i / x.length - j / y.length));
  }
  return largest;
}

Deno.test("chains: lj13's settings give R-hat < 1.01, one distribution from two sets of starts, its known mean", async () => {
  const config = loadConfig("lj13", [], "mcmc");
  const system = createSystem(config.system);
  const { chains, ...settings } = config.chains!;
  const executor = await WasmExecutor.create();
  const mint = initialiseMint(system, config.mint, config.seed);
  executor.prepare({ system: config.system, mint, julep: null });
  const [one, other] = [1, 2].map((seed) => {
    const positions = chainStarts(system, chains, seed);
    const drawn = executor.chains({
      ...settings,
      seed,
      first: 0,
      count: chains,
      positions,
      draws: DRAWS,
    });
    const distances = meanDistances(drawn.positions, system.particles, system.dimension);
    return { energies: drawn.energies, distances };
  });
  const both = Float64Array.of(...one.energies, ...other.energies);
  const energy = chainStatistics(both, 2 * chains);
  assert.ok(energy.rHat < 1.01, `R-hat ${energy.rHat}`);
  // 4 standard errors: one false alarm in 15,000; the seeds are fixed.
  const known = exactValues(config.system)!.meanEnergy;
  const error = Math.hypot(energy.standardError, known.uncertainty);
  assert.ok(
    Math.abs(energy.mean - known.value) < 4 * error,
    `${energy.mean} ± ${energy.standardError} against ${known.value}`,
  );
  // Draws are all but independent (τ is a third of `thin`): 1.95 √(2/n) has one false alarm in 1000.
  const limit = 1.95 * Math.sqrt(2 / (chains * DRAWS));
  for (const what of ["energies", "distances"] as const) {
    const statistic = kolmogorovSmirnov(one[what], other[what]);
    assert.ok(statistic < limit, `${what}: ${statistic}, limit ${limit}`);
  }
  // Power: energies 2 kT apart, less than a third of their spread, are told from each other.
  const shifted = other.energies.map((u) => u + 2);
  assert.ok(kolmogorovSmirnov(one.energies, shifted) > limit, "a shift would be seen");
});
