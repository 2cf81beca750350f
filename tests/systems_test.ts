import assert from "node:assert/strict";
import fc from "fast-check";
import type { DoubleWellConfig, LennardJonesConfig, SystemConfig } from "../src/config/config.ts";
import { preset } from "../src/config/presets.ts";
import { InputError } from "../src/errors.ts";
import { RandomStream, Stream } from "../src/math/random.ts";
import { createSystem } from "../src/systems/create.ts";
import type { System } from "../src/systems/system.ts";

const dw4 = preset("dw4").system as DoubleWellConfig;
const lj13 = preset("lj13").system as LennardJonesConfig;
const shifted: LennardJonesConfig = { ...lj13, softCore: { kind: "shifted" } };

/** Every formula, with no parameter at a value that could hide it. */
const systems: SystemConfig[] = [
  { ...dw4, offset: 1.3, linear: 0.4, quadratic: -1.1, quartic: 0.7, temperature: 1.6 },
  { ...dw4, dimension: 3, particles: 5, offset: 1.1, linear: -0.3, temperature: 0.8 },
  { ...lj13, particles: 6, epsilon: 1.4, oscillator: 0.7 },
  { ...shifted, particles: 6, epsilon: 1.4, oscillator: 0.7 },
];

/** N·n positions on a jittered grid, nearest neighbours about 1 apart. */
function scattered(system: System, seed: number): Float64Array {
  const { particles: N, dimension: n } = system;
  const side = Math.ceil(N ** (1 / n));
  const random = new RandomStream(seed, Stream.test, 1);
  return Float64Array.from(
    { length: N * n },
    (_, at) => Math.floor(Math.floor(at / n) / side ** (at % n)) % side + 0.1 * random.normal(),
  );
}

/** A random orthogonal map (Gram-Schmidt), of determinant +1 or −1 as it comes. */
function orthogonal(n: number, random: RandomStream): number[][] {
  const rows: number[][] = [];
  while (rows.length < n) {
    const v = Array.from({ length: n }, () => random.normal());
    for (const row of rows) {
      const along = row.reduce((sum, c, a) => sum + c * v[a], 0);
      row.forEach((c, a) => v[a] -= along * c);
    }
    const norm = Math.hypot(...v);
    if (norm > 1e-3) rows.push(v.map((c) => c / norm));
  }
  return rows;
}

/** Conjugate gradients with backtracking; ends when the gradient is below 1e-9. */
function minimise(system: System, start: Float64Array): number {
  let x = start.slice(), g = new Float64Array(x.length);
  let u = system.energyAndGradient(x, g);
  let direction = g.map((v) => -v);
  let step = 1e-3;
  for (let k = 0; k < 3000; k++) {
    const slope = g.reduce((sum, v, a) => sum + v * direction[a], 0);
    const norm = g.reduce((sum, v) => sum + v * v, 0);
    if (norm < 1e-18) break;
    if (slope >= 0) {
      direction = g.map((v) => -v);
      continue;
    }
    step *= 2;
    for (;;) {
      const y = x.map((v, a) => v + step * direction[a]);
      const next = new Float64Array(x.length);
      const value = system.energyAndGradient(y, next);
      if (value <= u + 1e-4 * step * slope || step < 1e-16) {
        const beta = Math.max(0, next.reduce((sum, v, a) => sum + v * (v - g[a]), 0) / norm);
        direction = direction.map((v, a) => beta * v - next[a]);
        [x, g, u] = [y, next, value];
        break;
      }
      step /= 2;
    }
  }
  return u;
}

/** The 12 corners and the centre of an icosahedron, radius about 1. */
function icosahedron(): Float64Array {
  const phi = (1 + Math.sqrt(5)) / 2;
  const points = [[0, 0, 0]];
  for (const a of [-1, 1]) {
    for (const b of [-phi, phi]) points.push([0, a, b], [a, b, 0], [b, 0, a]);
  }
  return Float64Array.from(points.flat(), (v) => v / Math.hypot(1, phi));
}

Deno.test("double well: two and three particles by hand", () => {
  const config = { ...dw4, linear: 0.5, temperature: 2 };
  const u = (r: number) => (0.5 * (r - 4) - 4 * (r - 4) ** 2 + 0.9 * (r - 4) ** 4) / 2;
  const near = (value: number, expected: number) =>
    assert.ok(Math.abs(value - expected) < 1e-12 * (1 + Math.abs(expected)), `${value}`);
  near(createSystem({ ...config, particles: 2 }).energy(Float64Array.of(0, 0, 3, 4)), u(5));
  // A right triangle with sides 3, 4, 5: every pair is counted once.
  near(
    createSystem({ ...config, particles: 3 }).energy(Float64Array.of(0, 0, 3, 0, 0, 4)),
    u(3) + u(4) + u(5),
  );
});

Deno.test("double well: the minimum of a pair lies where the formula says", () => {
  const { quadratic, quartic } = dw4;
  const d = Math.sqrt(-quadratic / (2 * quartic));
  const pair = createSystem({ ...dw4, particles: 2 });
  const gradient = new Float64Array(4);
  const u = pair.energyAndGradient(Float64Array.of(0, 0, 4 + d, 0), gradient);
  assert.ok(Math.abs(u + quadratic ** 2 / (4 * quartic)) < 1e-12);
  assert.ok(gradient.every((g) => Math.abs(g) < 1e-12));
});

Deno.test("Lennard-Jones: two particles by hand, every pair once, ε deep at distance 1", () => {
  for (const softCore of [lj13.softCore, shifted.softCore]) {
    const pair = createSystem({ ...lj13, particles: 2, epsilon: 3, oscillator: 0.5, softCore });
    const at = (r: number) => pair.energy(Float64Array.of(1, 2, 3, 1, 2 + r, 3));
    // The oscillator about the centre of mass gives ½·0.5·2·(r/2)².
    for (const r of [0.8, 1, 1.5]) {
      const expected = 3 * (r ** -12 - 2 * r ** -6) + 0.125 * r * r;
      assert.ok(Math.abs(at(r) - expected) < 1e-12 * (1 + Math.abs(expected)));
    }
  }
});

Deno.test("soft cores follow their published formulas at t < 1", () => {
  const pair = (config: LennardJonesConfig, r: number, t: number) =>
    createSystem({ ...config, particles: 2, epsilon: 1.5, oscillator: 0 })
      .energy(Float64Array.of(0, 0, 0, 0, 0, r), t);
  for (const t of [0, 0.3, 0.9]) {
    for (const r of [0.2, 1, 1.7]) {
      const s = (r + 1 - t) ** -6, c = (2 - t) ** -6;
      // Eq. 26 with its constant: ε (s − c)² = u + ε c².
      const paper = 1.5 * (s - c) ** 2 - 1.5 * c * c;
      assert.ok(Math.abs(pair(shifted, r, t) - paper) < 1e-12 * (1 + s * s));
      const q = 1 / (0.5 * (1 - t) ** 2 + r ** 6);
      assert.ok(Math.abs(pair(lj13, r, t) - 1.5 * (q * q - 2 * q)) < 1e-11 * (1 + q * q));
    }
    // Finite where particles meet.
    assert.ok(Number.isFinite(pair(shifted, 0, t)) && Number.isFinite(pair(lj13, 0, t)));
  }
});

Deno.test("t = 1 is the target for both soft cores, and the default", () => {
  const a = createSystem(lj13), b = createSystem(shifted);
  const x = scattered(a, 1);
  const ga = new Float64Array(39), gb = new Float64Array(39);
  const ua = a.energyAndGradient(x, ga, 1), ub = b.energyAndGradient(x, gb);
  assert.ok(Math.abs(ua / ub - 1) < 1e-13, `${ua} ${ub}`);
  const largest = Math.max(...ga.map(Math.abs));
  ga.forEach((g, k) => assert.ok(Math.abs(g - gb[k]) < 1e-13 * largest));
  assert.equal(a.energy(x), ua);
  assert.notEqual(a.energy(x, 0.5), ua);
});

Deno.test("LJ-13 minima from the icosahedron equal the known ones", () => {
  const minimum = (epsilon: number, oscillator: number) =>
    minimise(createSystem({ ...lj13, epsilon, oscillator }), icosahedron());
  // Cambridge Cluster Database, LJ-13 = −44.326801 for ε = 1.
  assert.ok(Math.abs(minimum(1, 0) + 44.326801) < 2e-6);
  assert.ok(Math.abs(minimum(2, 0) + 88.653603) < 2e-6);
  assert.ok(Math.abs(minimum(2, 1) + 83.089644) < 2e-6);
  assert.ok(Math.abs(minimum(1, 1) + 38.772188) < 2e-6);
});

Deno.test("gradients agree with finite differences to 1e-8, every formula and t", () => {
  for (const config of systems) {
    const system = createSystem(config);
    const x = scattered(system, 4);
    const gradient = new Float64Array(x.length);
    for (const t of [0, 0.3, 1]) {
      const u = system.energyAndGradient(x, gradient, t);
      assert.equal(system.energy(x, t), u);
      const scale = 1 + Math.max(...gradient.map(Math.abs));
      x.forEach((_, a) => {
        // Fourth-order central difference: truncation ~h⁴, rounding ~1e-16·U/h.
        const at = (h: number) => system.energy(x.with(a, x[a] + h), t);
        const h = 1e-4;
        const difference = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
        const error = Math.abs(difference - gradient[a]) / scale;
        assert.ok(error < 1e-8, `${system.definition} t=${t} a=${a}: ${error}`);
      });
    }
  }
});

Deno.test("U is invariant, and its gradient equivariant, under O(n), translation, relabelling", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: systems.length - 1 }),
      fc.integer({ min: 0, max: 2 ** 30 }),
      fc.constantFrom(0, 0.3, 1),
      (which, seed, t) => {
        const system = createSystem(systems[which]);
        const { particles: N, dimension: n } = system;
        const random = new RandomStream(seed, Stream.test, 2);
        const x = scattered(system, seed);
        const Q = orthogonal(n, random);
        const shift = Array.from({ length: n }, () => random.normal());
        const order = Array.from({ length: N }, (_, i) => i);
        for (let i = N - 1; i > 0; i--) {
          const j = random.integer(i + 1);
          [order[i], order[j]] = [order[j], order[i]];
        }
        const turn = (v: Float64Array, by: number[]) =>
          Float64Array.from({ length: N * n }, (_, at) => {
            const i = order[Math.floor(at / n)];
            return Q[at % n].reduce((sum, q, b) => sum + q * v[i * n + b], by[at % n]);
          });
        const g = new Float64Array(N * n), moved = new Float64Array(N * n);
        const u = system.energyAndGradient(x, g, t);
        const v = system.energyAndGradient(turn(x, shift), moved, t);
        const scale = 1 + Math.max(...g.map(Math.abs));
        assert.ok(Math.abs(u - v) < 1e-10 * scale);
        turn(g, Array(n).fill(0)).forEach((value, at) =>
          assert.ok(Math.abs(value - moved[at]) < 1e-10 * scale)
        );
      },
    ),
    { seed: 11, numRuns: 200 },
  );
});

Deno.test("particles on top of each other and NaN positions are not finite at t = 1", () => {
  const system = createSystem(lj13);
  const x = scattered(system, 2);
  const gradient = new Float64Array(39);
  x.copyWithin(3, 0, 3);
  assert.ok(!Number.isFinite(system.energyAndGradient(x, gradient)));
  assert.ok(!gradient.every(Number.isFinite));
  x[0] = NaN;
  assert.ok(Number.isNaN(system.energy(x)));
});

Deno.test("a definition names every parameter of the target, and its hash follows it", () => {
  const base = createSystem(dw4);
  assert.match(base.definition, /^double_well: .*N=4, n=2, d0=4, a=0, b=-4, c=0.9, tau=1$/);
  assert.match(base.definition, /each pair once/);
  // From `printf '%s' "<definition>" | sha256sum`.
  assert.equal(base.hash, "2ab4d600d86e94d7");
  const changed: SystemConfig[] = [
    { ...dw4, particles: 5 },
    { ...dw4, dimension: 3 },
    { ...dw4, offset: 4.5 },
    { ...dw4, linear: 1 },
    { ...dw4, quadratic: -3 },
    { ...dw4, quartic: 1 },
    { ...dw4, temperature: 2 },
    lj13,
    { ...lj13, particles: 12 },
    { ...lj13, epsilon: 1 },
    { ...lj13, oscillator: 2 },
  ];
  const hashes = new Set([dw4, ...changed].map((config) => createSystem(config).hash));
  assert.equal(hashes.size, changed.length + 1);
  for (const hash of hashes) assert.match(hash, /^[0-9a-f]{16}$/);
  // The soft core is the way, not the target.
  assert.equal(createSystem(lj13).hash, createSystem(shifted).hash);
});

Deno.test("the shape of a system: degrees of freedom, identical particles, length scale", () => {
  const dw = createSystem(dw4), lj = createSystem(lj13);
  assert.deepEqual([dw.particles, dw.dimension, dw.degreesOfFreedom], [4, 2, 6]);
  assert.deepEqual([lj.particles, lj.dimension, lj.degreesOfFreedom], [13, 3, 36]);
  assert.deepEqual(dw.identicalParticles, [[0, 1, 2, 3]]);
  assert.deepEqual([dw.lengthScale, lj.lengthScale], [4, 1]);
  assert.equal(createSystem({ ...dw4, offset: 0 }).lengthScale, 1);
  assert.throws(() => dw.energy(new Float64Array(7)), /8 numbers .* got 7/);
});

Deno.test("impossible parameters are refused in one line with field and value", () => {
  const refused: [SystemConfig, RegExp][] = [
    [{ ...dw4, particles: 1 }, /system\.particles must be an integer >= 2, got 1/],
    [{ ...dw4, particles: 2.5 }, /system\.particles .* got 2\.5/],
    [{ ...dw4, dimension: 4 as 3 }, /system\.dimension must be 2 or 3, got 4/],
    [{ ...dw4, offset: Infinity }, /system\.offset must be a finite number, got Infinity/],
    [{ ...dw4, temperature: 0 }, /system\.temperature .* above 0, got 0/],
    [{ ...dw4, quartic: -0.1 }, /system\.quartic must be above 0/],
    [{ ...dw4, quartic: 0 }, /system\.quadratic must be above 0 .* got -4/],
    [{ ...dw4, quartic: 0, quadratic: 0 }, /system\.linear must be above 0 .* got 0/],
    [{ ...lj13, particles: NaN }, /system\.particles .* got NaN/],
    [{ ...lj13, epsilon: -1 }, /system\.epsilon .* got -1/],
    [{ ...lj13, oscillator: -1 }, /system\.oscillator .* >= 0, got -1/],
    [{ ...lj13, softCore: { kind: "beutler", alpha: 0 } }, /system\.softCore\.alpha .* got 0/],
    [{ ...lj13, softCore: { kind: "hard" } as never }, /system\.softCore .* got \{"kind":"hard"\}/],
    [{ ...lj13, kind: "argon" } as never, /system\.kind .* got "argon"/],
  ];
  for (const [config, message] of refused) {
    assert.throws(() => createSystem(config), (error: Error) => {
      assert.ok(error instanceof InputError);
      assert.match(error.message, message);
      assert.ok(!error.message.includes("\n"));
      return true;
    });
  }
});
