/**
 * Two identities of any p ∝ e^{−U} (integration by parts), which need no reference data:
 * ⟨x·∇U⟩ = number of degrees of freedom, and ⟨|∇U|²⟩ = ⟨ΔU⟩. They see wrong weights and wrong
 * sampling inside a basin; a basin that is missing altogether satisfies them, and stays unseen.
 */
import { RandomStream, Stream } from "../math/random.ts";
import type { System } from "../systems/system.ts";
import { groupedMean } from "./islands.ts";
import { weightedMean } from "./weights.ts";

/** Both identities as measured on a set of weighted samples. */
export interface Identities {
  /** ⟨x·∇U⟩ and the number of degrees of freedom it should be. */
  virial: { mean: number; standardError: number; expected: number };
  /** ⟨|∇U|²⟩, ⟨ΔU⟩, and their difference with its standard error. */
  laplacian: {
    gradientSquared: number;
    laplacian: number;
    difference: number;
    standardError: number;
  };
  /** Configurations used for the first and for the second. */
  virialSamples: number;
  /** Configurations used for `laplacian`. */
  samples: number;
}

/** ΔU at x by central differences of the gradient; `step` is a length. */
export function laplacianOfEnergy(system: System, x: Float64Array, step: number): number {
  const moved = x.slice();
  const gradient = new Float64Array(x.length);
  let laplacian = 0;
  for (let i = 0; i < x.length; i++) {
    moved[i] = x[i] + step;
    system.energyAndGradient(moved, gradient);
    const above = gradient[i];
    moved[i] = x[i] - step;
    system.energyAndGradient(moved, gradient);
    laplacian += (above - gradient[i]) / (2 * step);
    moved[i] = x[i];
  }
  return laplacian;
}

/** Above this number of coordinates the Laplacian is estimated by probes. */
const EXACT_LAPLACIAN = 24;
const PROBES = 4;

/**
 * An unbiased estimate of ΔU at x: the mean of vᵀ(∇∇U)v over `PROBES` vectors of random signs
 * (Hutchinson), each from two gradients. Its noise is part of the identity's standard error.
 */
export function probedLaplacian(
  system: System,
  x: Float64Array,
  step: number,
  random: RandomStream,
): number {
  const [above, below] = [new Float64Array(x.length), new Float64Array(x.length)];
  let laplacian = 0;
  for (let probe = 0; probe < PROBES; probe++) {
    const v = x.map(() => random.word() & 1 ? 1 : -1);
    system.energyAndGradient(x.map((value, i) => value + step * v[i]), above);
    system.energyAndGradient(x.map((value, i) => value - step * v[i]), below);
    for (let i = 0; i < x.length; i++) {
      laplacian += v[i] * (above[i] - below[i]) / (2 * step * PROBES);
    }
  }
  return laplacian;
}

/** Most configurations in the virial: one gradient each. */
const VIRIAL_SAMPLES = 100_000;

/** `count` of `total`, evenly spaced; all where there are fewer. */
const evenly = (total: number, count: number) =>
  Array.from(
    { length: Math.min(total, count) },
    (_, i) => Math.floor((i + 0.5) * total / Math.min(total, count)),
  );

/**
 * Both identities on weighted samples: the virial on all of them (up to 100,000), the Laplacian, which
 * costs more, on some.
 *
 * @param positions (n, N, dimension), any origin and orientation
 * @param logWeights W of each, or null for samples of p itself
 * @param maxSamples how many configurations, evenly spaced, are used for the Laplacian; each costs
 * 2·N·dimension + 1 gradients, and 9 where N·dimension > 24
 * @param groups how many stretches of equal length are independent of each other, where samples are not:
 * islands, whose samples share ancestors, or chains. Errors are then those over the groups.
 */
export function identities(
  system: System,
  positions: Float64Array | Float32Array,
  logWeights: Float64Array | null,
  maxSamples = 1000,
  groups?: number,
): Identities {
  const size = system.particles * system.dimension;
  const total = positions.length / size;
  const step = 1e-4 * system.lengthScale;
  const gradient = new Float64Array(size);
  const at = (sample: number) =>
    Float64Array.from(positions.subarray(sample * size, (sample + 1) * size));
  const mean = (values: Float64Array, picked: readonly number[]) => {
    const W = logWeights && Float64Array.from(picked, (sample) => logWeights[sample]);
    if (!groups) return weightedMean(values, W);
    return groupedMean(values, W, (s) => Math.floor(picked[s] * groups / total), groups);
  };

  const all = evenly(total, VIRIAL_SAMPLES);
  const virial = Float64Array.from(all, (sample) => {
    const x = at(sample);
    system.energyAndGradient(x, gradient);
    return x.reduce((sum, v, i) => sum + v * gradient[i], 0);
  });
  const picked = evenly(total, maxSamples);
  const squared = new Float64Array(picked.length);
  const laplacian = new Float64Array(picked.length);
  picked.forEach((sample, s) => {
    const x = at(sample);
    system.energyAndGradient(x, gradient);
    for (let i = 0; i < size; i++) squared[s] += gradient[i] ** 2;
    laplacian[s] = size <= EXACT_LAPLACIAN
      ? laplacianOfEnergy(system, x, step)
      : probedLaplacian(system, x, step, new RandomStream(0, Stream.probe, sample));
  });
  const difference = mean(squared.map((g, s) => g - laplacian[s]), picked);
  return {
    virial: { ...mean(virial, all), expected: system.degreesOfFreedom },
    laplacian: {
      gradientSquared: mean(squared, picked).mean,
      laplacian: mean(laplacian, picked).mean,
      difference: difference.mean,
      standardError: difference.standardError,
    },
    virialSamples: all.length,
    samples: picked.length,
  };
}
