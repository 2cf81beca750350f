import assert from "node:assert/strict";
import { RandomStream, Stream } from "../src/math/random.ts";
import {
  elbo,
  essFromReference,
  eubo,
  logPartitionFromBothEnds,
  maxLogWeightFromReference,
} from "../src/sampling/diagnostics.ts";
import { warnings } from "../src/sampling/warnings.ts";
import { effectiveSampleSize, logPartitionFunction } from "../src/sampling/weights.ts";

const close = (a: number, b: number, tolerance: number) =>
  assert.ok(Math.abs(a - b) <= tolerance, `${a} is not within ${tolerance} of ${b}`);

/**
 * A toy with everything known: z ~ q = N(0, 1), p = N(s, 1), W = s z − s²/2 + log Z, so that
 * W ~ N(log Z ∓ s²/2, s²) from q and from p, ESS = e^{−s²} from either end.
 */
function twoEnds(n: number, s: number, logZ: number, seed = 1) {
  const draw = (sample: number, sign: number) => {
    const random = new RandomStream(seed, Stream.test, sample);
    return Float64Array.from({ length: n }, () => s * random.normal() + sign * s * s / 2 + logZ);
  };
  return { forward: draw(0, -1), backward: draw(1, +1) };
}

/** The same where q has only a fraction 1 − m of the target: p's other part is never drawn. */
function missingMode(n: number, s: number, logZ: number, m: number) {
  const covered = twoEnds(n, s, logZ + Math.log(1 - m));
  const random = new RandomStream(1, Stream.test, 2);
  covered.backward.forEach((_, i, W) => {
    if (random.uniform() < m) W[i] = logZ + 30;
  });
  return covered;
}

Deno.test("closed forms from the target", () => {
  const W = Float64Array.of(1, 2, 3);
  const mean = (Math.exp(1) + Math.exp(2) + Math.exp(3)) / 3;
  close(essFromReference(W, 0.5).ess, Math.exp(0.5) / mean, 1e-14);
  assert.equal(eubo(W).mean, 2);
  close(eubo(W).standardError, Math.sqrt(1 / 3), 1e-14);
  assert.equal(maxLogWeightFromReference(W, 0.5), 2.5);
  // Failed paths are outside the average; a region out of reach makes the ESS zero.
  close(
    essFromReference(Float64Array.of(1, NaN, -Infinity, 2, 3), 0.5).ess,
    Math.exp(0.5) / mean,
    1e-14,
  );
  assert.equal(essFromReference(Float64Array.of(1, Infinity), 0).ess, 0);
  assert.equal(eubo(Float64Array.of(1, Infinity)).mean, Infinity);
  assert.ok(Number.isNaN(essFromReference(Float64Array.of(NaN), 0).ess));
});

Deno.test("both ends see the same ESS and bracket log Z when nothing is missed", () => {
  const { forward, backward } = twoEnds(20_000, 0.6, 7);
  const fromTarget = essFromReference(backward, 7);
  // 4 standard errors: 1 false alarm in 16,000 for each comparison.
  close(fromTarget.ess, Math.exp(-0.36), 4 * fromTarget.standardError);
  close(effectiveSampleSize(forward), Math.exp(-0.36), 0.02);
  assert.ok(fromTarget.standardError < 0.02);
  close(eubo(backward).mean, 7 + 0.18, 4 * eubo(backward).standardError);
  close(elbo(forward).mean, 7 - 0.18, 4 * elbo(forward).standardError);
});

Deno.test("Bennett's log Z: unbiased, with an honest error, for unequal sample sizes", () => {
  let squares = 0;
  const repetitions = 100;
  for (let r = 0; r < repetitions; r++) {
    const { forward, backward } = twoEnds(1000, 1.5, 3, 100 + r);
    const { logZ, standardError } = logPartitionFromBothEnds(forward, backward.subarray(0, 400));
    squares += ((logZ - 3) / standardError) ** 2 / repetitions;
  }
  // χ² with 100 degrees of freedom over 100: sd 0.14, 4 sd: 1 false alarm in 16,000.
  close(squares, 1, 0.57);
});

Deno.test("Bennett's log Z is right where the sampler misses half of the target", () => {
  const { forward, backward } = missingMode(20_000, 0.5, 3, 0.5);
  const both = logPartitionFromBothEnds(forward, backward);
  close(both.logZ, 3, 4 * both.standardError);
  assert.ok(both.standardError < 0.02);
  close(logPartitionFunction(forward).logZ, 3 - Math.log(2), 0.02);
});

Deno.test("Bennett's log Z: failed and empty ends", () => {
  assert.ok(Number.isNaN(logPartitionFromBothEnds(new Float64Array(0), Float64Array.of(1)).logZ));
  assert.ok(Number.isNaN(logPartitionFromBothEnds(Float64Array.of(NaN), Float64Array.of(1)).logZ));
  // Half of the forward paths failed: Z is half as large.
  const W = new Float64Array(2000).fill(4);
  const half = W.map((w, i) => i % 2 ? -Infinity : w);
  close(logPartitionFromBothEnds(half, W).logZ, 4 - Math.log(2), 1e-9);
});

Deno.test("warnings: none for honest samples", () => {
  const { forward, backward } = twoEnds(20_000, 0.5, 3);
  assert.deepEqual(
    warnings({ logWeights: forward, logWeightsFromReference: backward, exactLogZ: 3 }),
    [],
  );
});

Deno.test("warnings: a missed part of the target is told in words", () => {
  const { forward, backward } = missingMode(20_000, 0.5, 3, 0.8);
  assert.deepEqual(warnings({ logWeights: forward }), [], "the sampler's own weights show nothing");
  const told = warnings({ logWeights: forward, logWeightsFromReference: backward }).join("\n");
  assert.match(told, /two ESS disagree/);
  assert.match(told, /log Z from the sampler \(1\.3.*is 1\.6\d\d lower than from both ends/);
  assert.match(told, /about (79|80|81)\.?\d* % of the target is missing/);
  assert.match(
    warnings({ logWeights: forward, exactLogZ: 3 }).join(),
    /1\.6\d\d lower than the exact/,
  );
});

Deno.test("warnings: log Z above its upper bound, and sets of different systems", () => {
  const { forward, backward } = twoEnds(20_000, 0.5, 3);
  const above = warnings({
    logWeights: forward.map((W) => W + 0.2),
    logWeightsFromReference: backward,
  });
  assert.match(above.join(), /above its upper bound/);
  const apart = warnings({
    logWeights: forward.map((W) => W + 2),
    logWeightsFromReference: backward,
  });
  assert.match(apart.join(), /contradict each other/);
});

Deno.test("warnings: few samples, failed paths, one dominating weight, heavy tail, prior", () => {
  const few = warnings({ logWeights: new Float64Array(9999) });
  assert.equal(few.length, 1);
  assert.match(few[0], /Only 9999 samples/);
  const failed = new Float64Array(20_000);
  failed[3] = NaN;
  failed[5] = -Infinity;
  assert.match(warnings({ logWeights: failed }).join(), /2 of 20000 log-weights are not finite/);
  const heavy = new Float64Array(20_000);
  heavy[11] = 10;
  const told = warnings({ logWeights: heavy }).join("\n");
  assert.match(told, /One sample carries 52\.\d % of the total weight/);
  assert.match(told, /heavy tail/);
  assert.match(told, /ESS is 0\.0\d+ %/);
  const prior = warnings({ logWeights: new Float64Array(20_000), priorMissesLabellings: true });
  assert.match(prior.join(), /not averaged over the labellings/);
  // Nothing but failed paths: one sentence, no NaN in it.
  const none = warnings({ logWeights: new Float64Array(10).fill(NaN) });
  assert.equal(none.length, 1);
  assert.doesNotMatch(none.join(), /NaN/);
  const about = (largestError: number, smallestEss: number) =>
    warnings({
      logWeights: new Float64Array(20_000),
      priorNormaliser: { largestError, smallestEss, laplaceError: null },
    }).join("\n");
  assert.equal(about(0.01, 0.5), "");
  assert.match(about(0.1, 0.5), /known to ± 0\.10/);
  assert.match(about(0.01, 0.02), /ESS 2\.0 %: its error .* not to be trusted/);
});

Deno.test("warnings: weights that n samples cannot reach are told, those they can are not", () => {
  // Gaussian log-weights of variance v about ∓ v/2: log Z = 0, needed are e^(v/2) samples.
  const about = (variance: number, both: boolean) => {
    const forward = new Float64Array(20_000), backward = new Float64Array(2000);
    const random = new RandomStream(11, Stream.test, 0);
    const draw = (mean: number) => mean + Math.sqrt(variance) * random.normal();
    const logWeights = forward.map(() => draw(-variance / 2));
    const logWeightsFromReference = backward.map(() => draw(variance / 2));
    return warnings({ logWeights, ...(both ? { logWeightsFromReference } : {}) }).join("\n");
  };
  assert.doesNotMatch(about(6, true), /number of nats/);
  const own = about(60, false);
  assert.match(own, /above the median of the log-weights, more than log n = 9\.9/);
  assert.match(own, /too low by an unknown number of nats, which the ESS does not show/);
  assert.match(about(60, true), /between the medians of the log-weights from both ends/);
});

Deno.test("warnings: log Z away from what long runs have", () => {
  const { forward } = twoEnds(20_000, 0.5, 3);
  const known = (value: number, uncertainty: number) =>
    warnings({ logWeights: forward, knownLogZ: { value, uncertainty, source: "long runs" } });
  assert.deepEqual(known(3, 0.01), []);
  assert.deepEqual(known(4, 0.4), [], "its own uncertainty counts");
  const low = known(17, 0.1).join();
  assert.match(low, /is 14\.0\d\d lower than 17\.000 ± 0\.100 \(long runs\)/);
  assert.match(low, /100 % of the partition function is missing, whatever the ESS says/);
  assert.match(known(2, 0.1).join(), /higher than .*weights of unstable steps/);
});
