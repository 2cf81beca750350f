/** Chain statistics and island figures against closed forms, and draws without a network. */
import assert from "node:assert/strict";
import { RandomStream, Stream } from "../src/math/random.ts";
import { chainStatistics } from "../src/sampling/chain_statistics.ts";
import { islandFigures, islandMean } from "../src/sampling/islands.ts";
import { warnings } from "../src/sampling/warnings.ts";

/** First-order autoregressive chains of variance 1: τ = (1 + φ)/(1 − φ). */
function autoregressive(chains: number, draws: number, phi: number, shift = 0): Float64Array {
  const out = new Float64Array(chains * draws);
  for (let c = 0; c < chains; c++) {
    const random = new RandomStream(17, Stream.test, c);
    let x = random.normal();
    for (let d = 0; d < draws; d++) {
      out[c * draws + d] = x + (c % 2 ? shift : 0);
      x = phi * x + Math.sqrt(1 - phi * phi) * random.normal();
    }
  }
  return out;
}

for (const phi of [0, 0.6, 0.9, -0.4]) {
  // The estimate's own spread is about τ √(2 window/n): 4 % at φ = 0.9; 4 of them, fixed seed.
  Deno.test(`chains: autocorrelation time of an AR(1) process, φ = ${phi}`, () => {
    const { autocorrelationTime, rHat, mean, standardError } = chainStatistics(
      autoregressive(16, 4000, phi),
      16,
    );
    const tau = (1 + phi) / (1 - phi);
    assert.ok(Math.abs(autocorrelationTime / tau - 1) < 0.16, `${autocorrelationTime}, τ = ${tau}`);
    assert.ok(rHat > 0.999 && rHat < 1.01, `R-hat ${rHat}`);
    assert.ok(Math.abs(mean) < 4 * standardError, `${mean} ± ${standardError}`);
  });
}

Deno.test("chains: R-hat sees chains that disagree and chains that drift", () => {
  const apart = chainStatistics(autoregressive(8, 500, 0.3, 1.5), 8);
  // Between 0.75² (half the chains shifted), within 1: √(1 + 0.5625 · 16/15).
  assert.ok(Math.abs(apart.rHat - Math.sqrt(1 + 0.6)) < 0.06, `R-hat ${apart.rHat}`);
  assert.ok(apart.effectiveDraws < 100, `${apart.effectiveDraws} draws`);
  const drifting = autoregressive(8, 500, 0.3).map((x, i) => x + 0.004 * (i % 500));
  // Halves ±0.5 about their mean, within them 1 + 1/12: √(1 + 0.25 · 16/15 / 1.083) = 1.116.
  const { rHat } = chainStatistics(drifting, 8);
  assert.ok(Math.abs(rHat - 1.116) < 0.03, `R-hat ${rHat}`);
});

Deno.test("chains: too few draws give no statistics, and a warning", () => {
  const energy = chainStatistics(Float64Array.of(1, 2, 3), 1);
  assert.ok(Number.isNaN(energy.rHat) && Number.isNaN(energy.effectiveDraws));
  const chains = { chains: 1, draws: 3, thin: 1, acceptance: 0.8, energy, pairDistance: energy };
  const found = warnings({ logWeights: new Float64Array(3), chains });
  assert.equal(found.length, 4);
});

Deno.test("islands: log Z of the mean, its error by the spread, ancestors pooled", () => {
  const islands = [10, 10.2, 9.9, 10.1].map((logZ) => ({
    logZ,
    population: 100,
    resampled: 3,
    distinctAncestors: 40,
    effectiveAncestors: 25,
  }));
  const f = islandFigures(islands);
  const Z = islands.map((i) => Math.exp(i.logZ));
  const mean = Z.reduce((a, z) => a + z, 0) / 4;
  assert.ok(Math.abs(f.logZ - Math.log(mean)) < 1e-12);
  // The jackknife of a logarithm of a mean is the delta method's to first order.
  const sd = Math.sqrt(Z.reduce((a, z) => a + (z - mean) ** 2, 0) / 3);
  assert.ok(Math.abs(f.logZStdErr / (sd / mean / 2) - 1) < 0.05, `${f.logZStdErr}`);
  const squares = Z.reduce((a, z) => a + z * z / 25, 0);
  assert.ok(Math.abs(f.ess - (4 * mean) ** 2 / (squares * 400)) < 1e-12);
  assert.ok(f.ess <= 0.25 && f.ess > 0.24, "25 of 100 in every island");
  assert.ok(Math.abs(f.logZSpread - Math.sqrt(0.05 / 3)) < 1e-9);
});

Deno.test("islands: means are weighted over islands, and copies do not make the error smaller", () => {
  const values = Float64Array.of(1, 1, 1, 1, 3, 3, 3, 3);
  const flat = new Float64Array(8);
  const even = islandMean(values, flat, 4);
  assert.equal(even.mean, 2);
  assert.ok(Math.abs(even.standardError - 1) < 1e-12, "two islands, one apart from the mean");
  const heavy = islandMean(values, flat.map((_, s) => s < 4 ? Math.log(3) : 0), 4);
  assert.ok(Math.abs(heavy.mean - 1.5) < 1e-12);
});
