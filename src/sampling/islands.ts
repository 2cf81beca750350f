/**
 * Figures of Sequential Monte Carlo, whose samples share ancestors: an ESS of the final weights says
 * nothing about that, so errors come from independent islands, and the number to compare with a path
 * ESS counts all descendants of one prior draw as one sample.
 */
import { blockJackknife } from "./jackknife.ts";

/** One population. */
export interface Island {
  /** log of the island's unbiased estimate of Z. */
  readonly logZ: number;
  /** Samples of the island. */
  readonly population: number;
  /** Levels after which it was resampled. */
  readonly resampled: number;
  /** Prior draws with descendants that have weight, and (Σ_a w_a)²/Σ_a w_a² over them. */
  readonly distinctAncestors: number;
  /** (Σ_a w_a)²/Σ_a w_a² over prior draws a, w_a the weight of all descendants. */
  readonly effectiveAncestors: number;
}

export interface IslandFigures {
  readonly islands: number;
  readonly population: number;
  /** Mean over islands. */
  readonly resamplings: number;
  readonly distinctAncestors: number;
  readonly effectiveAncestors: number;
  /** Effective ancestors as a fraction of the prior draws, pooled: to be compared with a path ESS. */
  readonly ess: number;
  readonly essStdErr: number;
  /** log of the mean of the islands' unbiased estimates of Z; jackknife over islands. */
  readonly logZ: number;
  readonly logZStdErr: number;
  /** Standard deviation of log Z from island to island. */
  readonly logZSpread: number;
}

/** Figures of independent islands of one size. */
export function islandFigures(islands: readonly Island[]): IslandFigures {
  const of = (pick: (i: Island) => number) => Float64Array.from(islands, pick);
  const mean = (v: Float64Array) => v.reduce((a, x) => a + x, 0) / v.length;
  const logZs = of((i) => i.logZ);
  const max = Math.max(...logZs);
  const Z = logZs.map((z) => Math.exp(z - max));
  const { population } = islands[0];
  const logZ = blockJackknife([Z], ([sum], n) => Math.log(sum / n), islands.length);
  // Pooled: island i has Σ w = Z_i and Σ_a w_a² = Z_i²/effectiveAncestors_i.
  const squares = Z.map((z, k) => z * z / islands[k].effectiveAncestors);
  const ess = blockJackknife(
    [Z, squares],
    ([sum, square], n) => sum * sum / (square * n * population),
    islands.length,
  );
  const centre = mean(logZs);
  const spread = Math.sqrt(
    logZs.reduce((a, z) => a + (z - centre) ** 2, 0) / (islands.length - 1),
  );
  return {
    islands: islands.length,
    population,
    resamplings: mean(of((i) => i.resampled)),
    distinctAncestors: mean(of((i) => i.distinctAncestors)),
    effectiveAncestors: mean(of((i) => i.effectiveAncestors)),
    ess: ess.value,
    essStdErr: ess.standardError,
    logZ: max + logZ.value,
    logZStdErr: logZ.standardError,
    logZSpread: spread,
  };
}

/** Σ w f / Σ w over all samples, its error by a jackknife over islands of `population` samples. */
export function islandMean(
  values: Float64Array,
  logWeights: Float64Array,
  population: number,
): { mean: number; standardError: number } {
  const count = Math.floor(values.length / population);
  return groupedMean(values, logWeights, (s) => Math.floor(s / population), count);
}

/**
 * Σ w f / Σ w of samples that depend on each other within groups alone (islands, chains), and its
 * error by a jackknife over the groups: NaN for a single one.
 *
 * @param logWeights W of each, or null for equal weights
 * @param groupOf the group, 0 … groups − 1, of a sample; others are left out
 */
export function groupedMean(
  values: Float64Array,
  logWeights: Float64Array | null,
  groupOf: (sample: number) => number,
  groups: number,
): { mean: number; standardError: number } {
  const max = logWeights?.reduce((a, w) => w > a ? w : a, -Infinity) ?? 0;
  const [weights, sums] = [new Float64Array(groups), new Float64Array(groups)];
  for (let s = 0; s < values.length; s++) {
    const w = logWeights ? Math.exp(logWeights[s] - max) : 1;
    if (!(w > 0)) continue;
    weights[groupOf(s)] += w;
    sums[groupOf(s)] += w * values[s];
  }
  const { value, standardError } = blockJackknife([weights, sums], ([w, f]) => f / w, groups);
  return { mean: value, standardError };
}
