/**
 * Convergence of Markov chains: split R-hat and the integrated autocorrelation time over several
 * chains (Vehtari, Gelman, Simpson, Carpenter and Bürkner, "Rank-normalization, folding, and
 * localization", 2021, sections 2-3; without their rank normalisation).
 */

/**
 * Of one quantity along several chains; every field but `mean` is NaN for fewer than four draws a
 * chain.
 */
export interface ChainStatistics {
  /** Over all draws of all chains. */
  readonly mean: number;
  /** Of the mean, from the effective number of draws. */
  readonly standardError: number;
  /** √(total variance / within half-chains); above 1.01 the chains do not agree yet. */
  readonly rHat: number;
  /** τ, in kept draws: n draws are worth n/τ independent ones. */
  readonly autocorrelationTime: number;
  /** chains·draws / τ. */
  readonly effectiveDraws: number;
}

/** What is told of a set of chains. */
export interface ChainSummary {
  /** Number of chains. */
  readonly chains: number;
  /** Kept draws of each chain, and HMC transitions between them. */
  readonly draws: number;
  /** HMC transitions between kept states. */
  readonly thin: number;
  /** Mean acceptance after warm-up. */
  readonly acceptance: number;
  /** Of U. */
  readonly energy: ChainStatistics;
  /** Of the mean distance over pairs. */
  readonly pairDistance: ChainStatistics;
}

const meanOf = (v: Float64Array) => v.reduce((a, x) => a + x, 0) / v.length;

/** Unbiased variance. */
function varianceOf(v: Float64Array): number {
  const mean = meanOf(v);
  return v.reduce((a, x) => a + (x - mean) ** 2, 0) / (v.length - 1);
}

/** Biased autocovariance at a lag, as the estimate of τ wants it. */
function autocovariance(v: Float64Array, mean: number, lag: number): number {
  let sum = 0;
  for (let i = 0; i + lag < v.length; i++) sum += (v[i] - mean) * (v[i + lag] - mean);
  return sum / v.length;
}

/**
 * Statistics of one quantity along several chains.
 *
 * @param values (chains, draws); fewer than four draws give NaN
 */
export function chainStatistics(values: Float64Array, chains: number): ChainStatistics {
  const draws = Math.floor(values.length / chains);
  const mean = meanOf(values);
  const half = Math.floor(draws / 2);
  if (half < 2) {
    return {
      mean,
      standardError: NaN,
      rHat: NaN,
      autocorrelationTime: NaN,
      effectiveDraws: NaN,
    };
  }
  // Halves of chains, so that a drift within a chain shows.
  const parts: Float64Array[] = [];
  for (let c = 0; c < chains; c++) {
    const from = c * draws;
    parts.push(values.subarray(from, from + half));
    parts.push(values.subarray(from + draws - half, from + draws));
  }
  const within = meanOf(Float64Array.from(parts, varianceOf));
  const between = varianceOf(Float64Array.from(parts, meanOf));
  const total = within * (half - 1) / half + between;
  const rHat = Math.sqrt(total / within);
  const means = parts.map(meanOf);
  // ρ_t = 1 − (W − mean autocovariance)/total; pairs summed while positive and falling (Geyer).
  const rho = (lag: number) =>
    1 -
    (within - meanOf(Float64Array.from(parts, (p, k) =>
        autocovariance(p, means[k], lag) * half / (half - 1)))) / total;
  let tau = -1;
  let last = Infinity;
  for (let lag = 0; lag + 1 < half; lag += 2) {
    const pair = rho(lag) + rho(lag + 1);
    if (!(pair > 0)) break;
    last = Math.min(last, pair);
    tau += 2 * last;
  }
  const count = chains * draws;
  // Anticorrelated draws may be worth more than independent ones, but not beyond n log₁₀ n.
  const autocorrelationTime = total > 0 ? Math.max(tau, 1 / Math.log10(count)) : NaN;
  const effectiveDraws = count / autocorrelationTime;
  return {
    mean,
    standardError: Math.sqrt(total / effectiveDraws),
    rHat,
    autocorrelationTime,
    effectiveDraws,
  };
}
