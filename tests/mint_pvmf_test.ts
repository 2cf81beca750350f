/** PvMF's normaliser against independent estimates, its Laplace approximation, and its sampler. */
import assert from "node:assert/strict";
import { RandomStream, Stream } from "../src/math/random.ts";
import { gaussLegendre, logSumExp } from "../src/math/special.ts";
import { symmetricEigen } from "../src/math/symmetric_eigen.ts";
import { drawDirections } from "../src/mint/pvmf.ts";
import { PvmfChart } from "../src/mint/pvmf_chart.ts";
import { estimateNormaliser, unitRows } from "../src/mint/pvmf_normaliser.ts";

/** M random unit rows. */
function randomRows(m: number, n: 2 | 3, seed: number): Float64Array {
  const random = new RandomStream(seed, Stream.test, 2);
  return unitRows(Float64Array.from({ length: m * n }, () => random.normal()), m, n);
}

/** cos(ΘΘᵀ, μμᵀ) from the Gram matrices themselves. */
function gramCosine(theta: Float64Array, mu: Float64Array, n: number): number {
  const m = mu.length / n;
  let [dot, a, b] = [0, 0, 0];
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < m; j++) {
      let [x, y] = [0, 0];
      for (let d = 0; d < n; d++) {
        x += theta[i * n + d] * theta[j * n + d];
        y += mu[i * n + d] * mu[j * n + d];
      }
      [dot, a, b] = [dot + x * y, a + x * x, b + y * y];
    }
  }
  return dot / Math.sqrt(a * b);
}

/** log Z for n = 2 and M = 3: rotation gives 2π, two angles by the trapezoidal rule. */
function quadratureLogZ(mu: Float64Array, kappa: number, angles = 600): number {
  const logs = new Float64Array(angles * angles);
  const theta = Float64Array.of(1, 0, 0, 0, 0, 0);
  for (let i = 0; i < angles; i++) {
    for (let j = 0; j < angles; j++) {
      const [a, b] = [2 * Math.PI * i / angles, 2 * Math.PI * j / angles];
      theta.set([Math.cos(a), Math.sin(a), Math.cos(b), Math.sin(b)], 2);
      logs[i * angles + j] = kappa * gramCosine(theta, mu, 2);
    }
  }
  return logSumExp(logs) + 3 * Math.log(2 * Math.PI) - 2 * Math.log(angles);
}

Deno.test("f from W and B is the cosine of the Gram matrices, with its gradients", () => {
  for (const [m, n] of [[3, 2], [2, 3], [5, 3]] as [number, 2 | 3][]) {
    const mu = randomRows(m, n, 1);
    const theta = randomRows(m, n, 2);
    const byTheta = new Float64Array(m * n);
    const byMu = new Float64Array(m * n);
    const f = new PvmfChart(mu, 5, n).cosine(theta, byTheta, byMu);
    assert.ok(Math.abs(f - gramCosine(theta, mu, n)) < 1e-14);
    for (let i = 0; i < m * n; i++) {
      const moved = (x: Float64Array, h: number) => x.map((v, k) => k === i ? v + h : v);
      const h = 1e-5;
      const a = gramCosine(moved(theta, h), mu, n) - gramCosine(moved(theta, -h), mu, n);
      const b = gramCosine(theta, moved(mu, h), n) - gramCosine(theta, moved(mu, -h), n);
      assert.ok(Math.abs(a / (2 * h) - byTheta[i]) < 1e-8);
      assert.ok(Math.abs(b / (2 * h) - byMu[i]) < 1e-8);
    }
  }
});

Deno.test("coordinates and directions are inverse; the target's gradient is right", () => {
  const random = new RandomStream(3, Stream.test, 3);
  for (const [m, n] of [[3, 2], [4, 3]] as [number, 2 | 3][]) {
    const chart = new PvmfChart(randomRows(m, n, 3), 40, n);
    const u = Float64Array.from({ length: chart.size }, () => 0.8 * random.normal());
    const theta = new Float64Array(m * n);
    const gradient = new Float64Array(chart.size);
    chart.logTarget(u, theta, gradient);
    for (let j = 0; j < m; j++) {
      assert.ok(Math.abs(Math.hypot(...theta.subarray(j * n, (j + 1) * n)) - 1) < 1e-14);
    }
    const back = new Float64Array(chart.size);
    chart.coordinates(theta, back);
    for (let i = 0; i < u.length; i++) {
      assert.ok(Math.abs(back[i] - u[i]) < 1e-12);
      const at = (h: number) => chart.logTarget(u.map((v, k) => k === i ? v + h : v), theta);
      const difference = (at(1e-5) - at(-1e-5)) / 2e-5;
      assert.ok(Math.abs(difference - gradient[i]) < 1e-6 * (1 + Math.abs(gradient[i])));
    }
  }
});

Deno.test("log Z is within its stated error of quadrature, n = 2", () => {
  // 24 independent estimates: each within 4 standard errors (false alarm 1.5e-3 in all), and their
  // mean square of z-scores below 2.2 (χ² of 24: 6e-4): the stated error is neither short nor idle.
  let squares = 0;
  let idle = 0;
  let count = 0;
  for (let seed = 0; seed < 8; seed++) {
    const mu = randomRows(3, 2, 10 + seed);
    for (const kappa of [5, 20, 100]) {
      const exact = quadratureLogZ(mu, kappa);
      const { logZ, error, ess } = estimateNormaliser(mu, kappa, 2, 2048);
      const z = (logZ - exact) / error;
      assert.ok(Math.abs(z) < 4, `κ = ${kappa}: ${logZ} ± ${error}, exact ${exact}, ESS ${ess}`);
      squares += z * z;
      idle += Math.abs(z) > 0.3 ? 1 : 0;
      count++;
    }
  }
  assert.ok(squares / count < 2.2 && idle > 0.4 * count, `${squares / count}, ${idle}`);
});

Deno.test("log Z is within its stated error of one-dimensional quadrature, n = 3, two directions", () => {
  // f = (1 + c c₀)/√((1 + c²)(1 + c₀²)) up to a factor that cancels: only the angle's cosine c counts.
  const { nodes, weights } = gaussLegendre(400);
  for (const [seed, kappa] of [[1, 3], [2, 30], [3, 300]]) {
    const mu = randomRows(2, 3, seed);
    const c0 = mu[0] * mu[3] + mu[1] * mu[4] + mu[2] * mu[5];
    const exact = logSumExp(nodes.map((v, k) => {
      const c = 2 * v - 1;
      const f = (1 + c * c0) / Math.sqrt((1 + c * c) * (1 + c0 * c0));
      return kappa * f + Math.log(2 * weights[k]) + Math.log(4 * Math.PI) + Math.log(2 * Math.PI);
    }));
    const { logZ, error } = estimateNormaliser(mu, kappa, 3, 8192);
    // 4 standard errors, false-alarm rate 6e-5 each.
    assert.ok(Math.abs(logZ - exact) < 4 * error && error < 0.05, `${logZ} ± ${error}, ${exact}`);
  }
});

Deno.test("log Z agrees with uniform directions, n = 3, four directions", () => {
  // Plain Monte Carlo over the spheres, 4 combined standard errors: false-alarm rate 6e-5 each.
  const random = new RandomStream(5, Stream.test, 4);
  for (const [seed, kappa] of [[4, 2], [5, 10]]) {
    const mu = randomRows(4, 3, seed);
    const draws = 100_000;
    let [sum, squares] = [0, 0];
    const theta = new Float64Array(12);
    for (let s = 0; s < draws; s++) {
      for (let i = 0; i < 12; i++) theta[i] = random.normal();
      const value = Math.exp(kappa * (gramCosine(unitRows(theta, 4, 3), mu, 3) - 1));
      sum += value;
      squares += value * value;
    }
    const plain = kappa + Math.log(sum / draws) + 4 * Math.log(4 * Math.PI);
    const plainError = Math.sqrt(squares / (sum * sum) - 1 / draws);
    const { logZ, error } = estimateNormaliser(mu, kappa, 3, 20_000);
    const both = Math.hypot(error, plainError);
    assert.ok(Math.abs(logZ - plain) < 4 * both && both < 0.1, `${logZ} ${plain} ± ${both}`);
  }
});

Deno.test("Laplace's log Z becomes exact as κ grows, and its ESS one", () => {
  for (const [m, n] of [[3, 2], [4, 3]] as [number, 2 | 3][]) {
    const mu = randomRows(m, n, 6);
    const off = [300, 3000, 30000].map((kappa) => {
      const found = estimateNormaliser(mu, kappa, n, 8192);
      return { gap: Math.abs(found.laplace - found.logZ), ...found };
    });
    // The gap falls like 1/κ until it is lost in the estimate's noise.
    assert.ok(off[1].gap < 0.35 * off[0].gap + 4 * off[1].error, `${off.map((o) => o.gap)}`);
    assert.ok(off[2].gap < 0.02 + 4 * off[2].error, `${off[2].gap}`);
    assert.ok(off[2].ess > 0.5, `${off[2].ess}`);
  }
});

Deno.test("collinear directions: no Laplace approximation, and the estimate is still right", () => {
  const mu = Float64Array.of(1, 0, 1, 0, -1, 0);
  for (const kappa of [20, 200]) {
    const { logZ, error, laplace, ess } = estimateNormaliser(mu, kappa, 2, 8192);
    assert.ok(Number.isNaN(laplace));
    const exact = quadratureLogZ(mu, kappa);
    assert.ok(
      Math.abs(logZ - exact) < 4 * error && error < 0.2,
      `${logZ} ± ${error} ${exact} ${ess}`,
    );
  }
});

Deno.test("∂log Z agrees with differences of the quadrature, n = 2", () => {
  const mu = randomRows(3, 2, 7);
  const kappa = 15;
  const { slopes } = estimateNormaliser(mu, kappa, 2, 40_000);
  const h = 1e-3;
  const differences = Array.from(slopes, (_, i) => {
    const at = (step: number) =>
      i === 6
        ? quadratureLogZ(mu, kappa * Math.exp(step), 300)
        : quadratureLogZ(unitRows(mu.map((v, k) => k === i ? v + step : v), 3, 2), kappa, 300);
    return (at(h) - at(-h)) / (2 * h);
  });
  for (let i = 0; i < 7; i++) {
    // Means over 40,000 weighted samples: κ times a spread of 0.1 over their root.
    assert.ok(Math.abs(slopes[i] - differences[i]) < 0.05, `${i}: ${slopes[i]} ${differences[i]}`);
  }
});

Deno.test("Langevin steps take the Laplace Gaussian to the density", () => {
  // E f = ∂log Z/∂κ, by quadrature. 4 standard errors: false-alarm rate 6e-5; without steps the draw
  // is off by many.
  const mu = randomRows(3, 2, 9);
  const kappa = 12;
  const h = 1e-3;
  const exact = (quadratureLogZ(mu, kappa + h) - quadratureLogZ(mu, kappa - h)) / (2 * h);
  const chart = new PvmfChart(mu, kappa, 2);
  const theta = new Float64Array(6);
  const measure = (steps: number) => {
    let [sum, squares] = [0, 0];
    for (let s = 0; s < 10_000; s++) {
      drawDirections(chart, steps, new RandomStream(2, Stream.test, s), theta);
      const f = gramCosine(theta, mu, 2);
      [sum, squares] = [sum + f, squares + f * f];
    }
    const mean = sum / 10_000;
    return { mean, error: Math.sqrt((squares / 10_000 - mean * mean) / 10_000) };
  };
  const [before, after] = [measure(0), measure(20)];
  assert.ok(Math.abs(after.mean - exact) < 4 * after.error, `${after.mean} ${exact}`);
  assert.ok(Math.abs(before.mean - exact) > 8 * before.error, "the check has no power");
});

Deno.test("symmetricEigen: A v = λ v, ascending, orthonormal, repeated eigenvalues included", () => {
  const random = new RandomStream(8, Stream.test, 5);
  for (const size of [1, 2, 9, 24]) {
    const b = Float64Array.from({ length: size * 3 }, () => random.normal());
    const a = new Float64Array(size * size); // rank at most 3: zero is repeated
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) {
        for (let k = 0; k < 3; k++) a[i * size + j] += b[i * 3 + k] * b[j * 3 + k];
      }
    }
    const { values, vectors } = symmetricEigen(a, size);
    assert.deepEqual([...values], [...values].sort((x, y) => x - y));
    for (let k = 0; k < size; k++) {
      for (let i = 0; i < size; i++) {
        let [image, dot] = [0, 0];
        for (let j = 0; j < size; j++) {
          image += a[i * size + j] * vectors[j * size + k];
          dot += vectors[j * size + i] * vectors[j * size + k];
        }
        assert.ok(Math.abs(image - values[k] * vectors[i * size + k]) < 1e-12 * size);
        assert.ok(Math.abs(dot - (i === k ? 1 : 0)) < 1e-13 * size);
      }
    }
  }
});
