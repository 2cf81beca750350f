import assert from "node:assert/strict";
import fc from "fast-check";
import { preset } from "../src/config/presets.ts";
import { RandomStream, Stream } from "../src/math/random.ts";
import { centreOfMassLogZ, exactValues } from "../src/sampling/exact.ts";
import { identities, laplacianOfEnergy, probedLaplacian } from "../src/sampling/identities.ts";
import {
  distanceW2,
  energyW2,
  meanPairDistance,
  pairDistances,
  squaredWasserstein2,
  weightedHistogram,
  wholeEnergyW2,
} from "../src/sampling/observables.ts";
import { relabel } from "../src/sampling/draw.ts";
import { resampledPositions, systematicResample } from "../src/sampling/resample.ts";
import { warnings } from "../src/sampling/warnings.ts";
import { weightedMean } from "../src/sampling/weights.ts";
import type { System } from "../src/systems/system.ts";
import { quadrature } from "../tools/dw4_exact.ts";

const close = (a: number, b: number, tolerance: number) =>
  assert.ok(Math.abs(a - b) <= tolerance, `${a} is not within ${tolerance} of ${b}`);

/** U = ½ k Σ |x_i − x_com|² in two dimensions: exactly sampled, ΔU = k n (N − 1). */
function oscillator(particles: number, k: number): System {
  const dimension = 2;
  const energyAndGradient = (x: Float64Array, gradient: Float64Array) => {
    let energy = 0;
    for (let a = 0; a < dimension; a++) {
      let centre = 0;
      for (let i = 0; i < particles; i++) centre += x[i * dimension + a] / particles;
      for (let i = 0; i < particles; i++) {
        const d = x[i * dimension + a] - centre;
        gradient[i * dimension + a] = k * d;
        energy += k * d * d / 2;
      }
    }
    return energy;
  };
  return {
    name: "oscillator",
    config: preset("dw4").system,
    particles,
    dimension,
    degreesOfFreedom: (particles - 1) * dimension,
    identicalParticles: [Array.from({ length: particles }, (_, i) => i)],
    lengthScale: 1,
    definition: "½ k Σ |x_i − x_com|²",
    hash: "0".repeat(16),
    pairKernel: { kind: 0, parameters: [] },
    energy: (x) => energyAndGradient(x, new Float64Array(x.length)),
    energyAndGradient,
  };
}

function gaussians(count: number, sd: number, sample = 0): Float64Array {
  const random = new RandomStream(11, Stream.test, sample);
  return Float64Array.from({ length: count }, () => sd * random.normal());
}

Deno.test("identities hold for weighted samples of an oscillator, and warn when they do not", () => {
  const k = 3, particles = 3, system = oscillator(particles, k);
  const n = 12_000;
  close(laplacianOfEnergy(system, gaussians(6, 1), 1e-4), k * 2 * 2, 1e-6);

  // Drawn at variance 1/2 > 1/k and weighted back. The centre of mass is free: any value will do.
  const positions = gaussians(n * 6, Math.sqrt(0.5));
  const W = Float64Array.from({ length: n }, (_, s) => {
    const x = positions.subarray(s * 6, s * 6 + 6);
    const radius2 = 2 * system.energy(x) / k;
    return radius2 - k * radius2 / 2;
  });
  const held = identities(system, positions, W, n);
  assert.equal(held.virial.expected, 4);
  // 4 standard errors: 1 false alarm in 16,000 for each.
  close(held.virial.mean, 4, 4 * held.virial.standardError);
  assert.ok(held.virial.standardError < 0.1);
  close(held.laplacian.difference, 0, 4 * held.laplacian.standardError);
  close(held.laplacian.laplacian, 12, 1e-5);
  assert.deepEqual(warnings({ logWeights: W, identities: held }), []);

  const broken = identities(system, positions, null, n); // the weights forgotten
  close(broken.virial.mean, 6, 0.3);
  const told = warnings({ logWeights: W, identities: broken }).join("\n");
  assert.match(told, /⟨x·∇U⟩ = \d\.\d+ ± \d\.\d+ should be 4/);
  assert.match(told, /⟨\|∇U\|²⟩ − ⟨ΔU⟩/);
  assert.equal(identities(system, positions, W, 50).samples, 50);
});

Deno.test("identities: copies within islands make no error smaller", () => {
  const k = 3, system = oscillator(3, k), islands = 40, copies = 50;
  const drawn = gaussians(islands * 6, Math.sqrt(1 / k), 5);
  const positions = new Float64Array(islands * copies * 6);
  for (let s = 0; s < islands * copies; s++) {
    const ancestor = Math.floor(s / copies);
    positions.set(drawn.subarray(6 * ancestor, 6 * ancestor + 6), 6 * s);
  }
  const W = new Float64Array(islands * copies);
  const alone = identities(system, drawn, new Float64Array(islands));
  // 400 of the 2000 for the Laplacian, and every island among them.
  const together = identities(system, positions, W, 400, islands);
  close(together.virial.mean, alone.virial.mean, 1e-9);
  close(together.virial.standardError, alone.virial.standardError, 1e-9);
  close(together.laplacian.standardError, alone.laplacian.standardError, 1e-6);
  assert.ok(alone.virial.standardError > 0.2, "four degrees of freedom, 40 draws");
  const blind = identities(system, positions, W, 400);
  assert.ok(blind.virial.standardError < 0.2 * together.virial.standardError);
  assert.ok(blind.laplacian.standardError < 0.5 * together.laplacian.standardError);
  assert.ok(Number.isNaN(identities(system, positions, W, 400, 1).virial.standardError));
});

Deno.test("the probed Laplacian is unbiased, and large systems use it", () => {
  const k = 3, n = 400;
  const system = oscillator(15, k);
  const x = gaussians(30, 1);
  const estimates = Float64Array.from(
    { length: n },
    (_, s) => probedLaplacian(system, x, 1e-4, new RandomStream(4, Stream.test, s)),
  );
  const { mean, standardError } = weightedMean(estimates, null);
  close(mean, k * 2 * 14, 4 * standardError); // 1 false alarm in 16,000
  assert.ok(standardError > 0 && standardError < 0.3);
  const positions = gaussians(n * 30, Math.sqrt(1 / k));
  const { laplacian, virial } = identities(system, positions, null);
  assert.equal(virial.expected, 28);
  close(virial.mean, 28, 4 * virial.standardError);
  close(laplacian.difference, 0, 4 * laplacian.standardError);
  assert.ok(laplacian.standardError < 3);
});

Deno.test("pair distances and their weighted mean", () => {
  const positions = Float64Array.of(0, 0, 3, 4, 0, 8, /**/ 0, 0, 1, 0, 0, 0);
  assert.deepEqual([...pairDistances(positions, 3, 2)], [5, 8, 5, 1, 0, 1]);
  const W = Float64Array.of(Math.log(3), 0);
  close(meanPairDistance(positions, 3, 2, W).mean, (3 * 6 + 2 / 3) / 4, 1e-14);
  close(meanPairDistance(positions, 3, 2, null).mean, (6 + 2 / 3) / 2, 1e-14);
});

Deno.test("Wasserstein-2: closed forms and weights as repetitions", () => {
  const a = Float64Array.of(3, 1, 2);
  close(squaredWasserstein2(a, null, a.map((x) => x + 0.5), null), 0.25, 1e-15);
  close(squaredWasserstein2(Float64Array.of(0), null, Float64Array.of(0, 2), null), 2, 1e-15);
  close(
    squaredWasserstein2(Float64Array.of(0, 1), Float64Array.of(1, 3), Float64Array.of(0), null),
    0.75,
    1e-15,
  );
  const set = fc.array(
    fc.tuple(fc.integer({ min: -50, max: 50 }), fc.integer({ min: 0, max: 4 })),
    {
      minLength: 1,
      maxLength: 12,
    },
  ).filter((pairs) => pairs.some(([, w]) => w > 0));
  fc.assert(fc.property(set, set, (x, y) => {
    const values = (s: number[][]) => Float64Array.from(s, ([v]) => v);
    const weights = (s: number[][]) => Float64Array.from(s, ([, w]) => w);
    const repeated = (s: number[][]) => Float64Array.from(s.flatMap(([v, w]) => Array(w).fill(v)));
    close(
      squaredWasserstein2(values(x), weights(x), values(y), weights(y)),
      squaredWasserstein2(repeated(x), null, repeated(y), null),
      1e-9,
    );
  }));
});

Deno.test("energy-W2 has the square root, distance-W2 is squared, both state n and the noise", () => {
  const energies = gaussians(40_000, 1), reference = gaussians(40_000, 1, 1).map((u) => u + 2);
  const energy = energyW2(energies, null, reference, { n: 2000 });
  assert.equal(energy.n, 2000);
  assert.equal(energy.squared, false);
  close(energy.value, 2, 0.15); // sd √(2/2000) = .032 of the difference of means: 4.7 sd
  assert.ok(energy.noiseFloor! > 0 && energy.noiseFloor! < 0.2);
  // Weights carry N(0, 1) to N(2, 1): W = 2u − 2. ESS e^{−4} = 2 %, 700 of 40,000.
  const weighted = energyW2(energies, energies.map((u) => 2 * u - 2), reference, { n: 2000 });
  close(weighted.value, 0, 0.3);

  // All at once: 40,000 and 700 in effect, whose mean and width have errors of 4 and 3 %.
  const whole = wholeEnergyW2(energies, energies.map((u) => 2 * u - 2), reference);
  assert.ok(whole.value < 0.15, `${whole.value}`);
  assert.ok(whole.halves! > 0 && whole.halves! < 0.05);
  close(wholeEnergyW2(energies, null, reference).value, 2, 0.03);
  assert.equal(wholeEnergyW2(energies, null, reference.slice(0, 1)).halves, null);

  const pair = (r: number) => Float64Array.from({ length: 400 }, (_, i) => i % 4 === 2 ? r : 0);
  const distance = distanceW2(pair(1), null, pair(1.5), { particles: 2, dimension: 2 });
  assert.equal(distance.squared, true);
  assert.equal(distance.n, 100);
  assert.equal(distance.noiseFloor, null);
  close(distance.value, 0.25, 1e-12);
});

Deno.test("weighted histograms: shares, several values for one weight, outliers and NaN", () => {
  const values = Float64Array.of(0.5, 1.5, 0.5, NaN, 9, 1.999);
  const W = Float64Array.of(Math.log(2), 0, 0);
  const { edges, density } = weightedHistogram(values, W, { low: 0, high: 2, bins: 4 });
  assert.deepEqual([...edges], [0, 0.5, 1, 1.5, 2]);
  [0, 2 / 8 + 1 / 8, 0, 2 / 8 + 1 / 8].forEach((share, b) => close(density[b] * 0.5, share, 1e-15));
  assert.throws(() => weightedHistogram(values, new Float64Array(4), { low: 0, high: 1, bins: 1 }));
});

Deno.test("systematic resampling gives every sample floor or ceil of its expected number", () => {
  const weights = fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 30 })
    .filter((w) => w.some((x) => x > 0));
  fc.assert(
    fc.property(weights, fc.integer({ min: 1, max: 100 }), fc.nat(1e6), (w, count, seed) => {
      const total = w.reduce((a, b) => a + b);
      const times = new Array(w.length).fill(0);
      for (const i of systematicResample(Float64Array.from(w, Math.log), count, seed)) times[i]++;
      w.forEach((x, i) => close(times[i], count * x / total, 1 + 1e-9));
      assert.ok(w.every((x, i) => x > 0 || times[i] === 0));
    }),
  );
  assert.throws(() => systematicResample(Float64Array.of(-Infinity, NaN), 3, 0), /no sample/);
});

Deno.test("resampled positions are copies of the samples that carry weight", () => {
  const W = Float64Array.of(-Infinity, Math.log(1), NaN, Math.log(3));
  const positions = Float32Array.from({ length: 8 }, (_, i) => i);
  assert.deepEqual([...resampledPositions(positions, W, 2, 4, 3)], [2, 3, 6, 7, 6, 7, 6, 7]);
});

Deno.test("relabelling permutes within groups only, every permutation equally often", () => {
  const system = { ...oscillator(4, 1), identicalParticles: [[0, 1, 3]] };
  const n = 6000, counts = new Map<string, number>();
  for (let s = 0; s < n; s++) {
    const x = Float64Array.of(0, 0, 1, 1, 2, 2, 3, 3);
    relabel(x, system, new RandomStream(7, Stream.test, s));
    for (let i = 0; i < 8; i += 2) assert.equal(x[i], x[i + 1], "coordinates stay together");
    const key = `${x[0]}${x[2]}${x[4]}${x[6]}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  assert.deepEqual([...counts.keys()].sort(), ["0123", "0321", "1023", "1320", "3021", "3120"]);
  // χ² with 5 degrees of freedom: above 27.9 once in 26,000.
  const chi2 = [...counts.values()].reduce((sum, c) => sum + (c - 1000) ** 2 / 1000, 0);
  assert.ok(chi2 < 27.9, `χ² = ${chi2}`);
});

Deno.test("exact values are found by parameters, not by name", () => {
  const dw4 = preset("dw4").system;
  assert.equal(exactValues(dw4)?.logZ?.value, 31.053526594024);
  assert.ok(dw4.kind === "double_well");
  assert.ok(exactValues({ ...dw4, temperature: 2, quadratic: -8, quartic: 1.8 }), "the same U");
  for (const changed of [{ temperature: 2 }, { offset: 4.1 }, { linear: 1 }, { particles: 5 }]) {
    assert.equal(exactValues({ ...dw4, ...changed }), null);
  }
  assert.equal(exactValues(preset("lj13").system)?.exact, false);
  assert.equal(exactValues(preset("lj13-eacf").system), null);
  const lj55 = exactValues(preset("lj55").system)!;
  assert.deepEqual(lj55.meanEnergy, { value: -324.89, uncertainty: 0.44 });
  assert.ok(!lj55.exact && lj55.logZ === undefined && lj55.source.includes("published"));
  close(centreOfMassLogZ(exactValues(preset("lj13").system)!.logZ!.value, 13, 3), 59.867, 1e-12);
});

Deno.test("a coarse grid of the quadrature confirms the stored values to seven digits", () => {
  const known = exactValues(preset("dw4").system)!;
  const found = quadrature({ G: 128, box: 22, points: 100 });
  close(found.logZ, known.logZ!.value, 1e-7);
  close(found.meanEnergy, known.meanEnergy.value, 1e-6);
  close(found.meanPairDistance, known.meanPairDistance!.value, 1e-7);
});
