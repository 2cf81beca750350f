/**
 * Julep in internal coordinates: E[e^W] = Z forward and E_p[e^{−W}] = 1/Z backward, whatever the
 * network, its matrix A, the steps and the prior. A molecule of four atoms with bonds, angles and one
 * torsion alone: its Z is a product of integrals over one coordinate each. Networks here are random,
 * never trained. For 50 seeds each, the 95 % interval of log Z must cover it between 88 and 99 % of the time, and the
 * errors must average to nothing.
 *
 * False alarms: as in paths_test.ts, below 2e-3 together; seeds are fixed. Tried, and each fails: noise 2 %
 * too wide, a log-ratio of the kernels 10 % too small, 2 % on V at the end, φ left out of k⁻ alone; with
 * A on, a determinant h tr A in the log-ratio, e^{+hA} for e^{−hA} in k⁻ of forward paths alone.
 */
import assert from "node:assert/strict";
import { WasmExecutor } from "../../src/backends/wasm/executor.ts";
import type { Problem } from "../../src/backends/backend.ts";
import type { MoleculeConfig } from "../../src/config/config.ts";
import { loadConfig } from "../../src/config/load.ts";
import { uniformTimes } from "../../src/julep/schedule.ts";
import { initialiseWhitenedJulep } from "../../src/julep/start_whitened.ts";
import { RandomStream, Stream } from "../../src/math/random.ts";
import { makeInternal } from "../../src/run/internal.ts";
import { silent } from "../../src/run/progress.ts";
import { logPartitionFromBothEnds } from "../../src/sampling/diagnostics.ts";
import { effectiveSampleSize, logPartitionFunction } from "../../src/sampling/weights.ts";
import { createSystem } from "../../src/systems/create.ts";
import { GAS_CONSTANT } from "../../src/systems/molecule/units.ts";
import type { Molecule } from "../../src/systems/molecule/molecule.ts";
import { ZMatrix } from "../../src/systems/molecule/zmatrix.ts";

const SEEDS = 50;
const COUNT = 300;

/** Floppy, so that normal densities do not fit: bonds ± 0.016 nm, angles ± 16°. */
const config: MoleculeConfig = {
  kind: "molecule",
  temperature: 300,
  solvent: "none",
  forceField: {
    title: "four atoms in a row",
    atoms: {
      names: ["A", "B", "C", "D"],
      residues: [0, 0, 0, 0],
      residueNames: ["ROW"],
      elements: [1, 8, 8, 1],
      masses: [1, 16, 16, 1],
      charges: [0, 0, 0, 0],
    },
    bonds: [[0, 1, 0.1, 1e4], [1, 2, 0.14, 1.2e4], [2, 3, 0.1, 1e4]],
    angles: [[0, 1, 2, 1.8, 30], [1, 2, 3, 1.9, 30]],
    torsions: [[0, 1, 2, 3, 1, 0.4, 2], [0, 1, 2, 3, 2, 0, 3]],
    lennardJones: { types: [0, 0, 0, 0], a: [0], b: [0] },
    exceptions: [],
    born: null,
  },
};
const reference = [0.05, 0.09, 0, 0, 0, 0, 0.14, 0, 0, 0.18, -0.05, 0.07];

const molecule = createSystem(config) as Molecule;
const kT = GAS_CONSTANT * 300;
const { bonds, angles, torsions } = molecule.forces.forceField;

/** exp(−V) of a coordinate on a fine grid: its integral, and draws by inversion. */
function line(low: number, high: number, density: (value: number) => number) {
  const steps = 20_000;
  const width = (high - low) / steps;
  const cumulative = new Float64Array(steps + 1);
  for (let i = 0; i < steps; i++) {
    cumulative[i + 1] = cumulative[i] + width * density(low + (i + 0.5) * width);
  }
  const total = cumulative[steps];
  return {
    total,
    at(u: number): number {
      let [a, b] = [0, steps];
      while (b - a > 1) {
        const middle = (a + b) >> 1;
        if (cumulative[middle] <= u * total) a = middle;
        else b = middle;
      }
      return low + width * (a + (u * total - cumulative[a]) / (cumulative[b] - cumulative[a]));
    },
  };
}

const harmonic = (value: number, centre: number, k: number) =>
  Math.exp(-0.5 * k * (value - centre) ** 2 / kT);
const coordinates = new ZMatrix(molecule.forces.forceField, Float64Array.from(reference));
/** One for each coordinate of z. */
const lines = (() => {
  const out: ReturnType<typeof line>[] = [];
  const find = (rows: number[][], atoms: number[]) =>
    rows.find((row) =>
      atoms.join() === row.slice(0, atoms.length).join() ||
      atoms.toReversed().join() === row.slice(0, atoms.length).join()
    )!;
  coordinates.rows.forEach(({ atom, bond, angle }, k) => {
    const [, , r0, stretch] = find(bonds, [atom, bond]);
    out[coordinates.bondAt(k)] = line(0.02, 0.4, (r) => r * r * harmonic(r, r0, stretch));
    if (k === 0) return;
    const [, , , centre, bend] = find(angles, [atom, bond, angle]);
    out[coordinates.angleAt(k)] = line(
      0.05,
      Math.PI - 0.05,
      (theta) => Math.sin(theta) * harmonic(theta, centre, bend),
    );
    if (k === 1) return;
    out[coordinates.dihedralAt(k)] = line(-Math.PI, Math.PI, (phi) =>
      Math.exp(
        -torsions.reduce(
          (sum, [, , , , n, phase, height]) => sum + height * (1 + Math.cos(n * phi - phase)),
          0,
        ) / kT,
      ));
  });
  return out;
})();
const logZ = lines.reduce((sum, { total }) => sum + Math.log(total), Math.log(8 * Math.PI ** 2));

/** Independent samples of the target, (count, 4, 3). */
function targetSamples(count: number): Float64Array {
  const random = new RandomStream(77, Stream.test, 0);
  const out = new Float64Array(12 * count);
  const x = new Float64Array(12);
  for (let s = 0; s < count; s++) {
    coordinates.toCartesian(Float64Array.from(lines, (l) => l.at(random.uniform())), x);
    out.set(x, 12 * s);
  }
  return out;
}

async function problem(
  prior: "torsion_grid" | "laplace",
  enabled: boolean,
): Promise<Problem> {
  const whole = loadConfig("aldp-vacuum", [
    "julep.network.hidden=8",
    "julep.network.matrix=signed",
    `julep.network.enabled=${enabled}`,
    "julep.stepSize.initial=0.6",
    "julep.forceClip=8",
  ], "internal-julep");
  const settings = {
    ...whole.internal!,
    prior,
    reference,
    starts: 12,
    cells: 8,
    subcells: 4,
  };
  const { model } = await makeInternal(molecule, settings, 1, silent);
  // Wider than the minima say: the weights vary, and their tails are light enough for 300 samples.
  const wide = model.prior.kind === "laplace"
    ? { ...model, prior: { ...model.prior, widening: 1.3 } }
    : {
      ...model,
      prior: {
        ...model.prior,
        parts: [{ weight: 0.5, widening: 1.1 }, { weight: 0.5, widening: 1.6 }],
      },
    };
  const julep = initialiseWhitenedJulep(molecule, wide, whole.julep, 2);
  const random = new RandomStream(5, Stream.test, 0);
  const parameters = julep.parameters.map((p) => p + 0.08 * random.normal());
  // Biases of s, so that A matters: parameters end with those of (b, c, s, H), and n = 6, C = 2.
  if (enabled) parameters.set([1.5, -1.5], parameters.length - 2 - 12);
  return {
    system: config,
    mint: null,
    internal: wide,
    julep: {
      ...julep,
      parameters,
      logStepSize: julep.logStepSize.map((v) => v + 0.3 * random.normal()),
    },
  };
}

Deno.test("E[e^W] = Z of Julep in internal coordinates, any network, forward and both ways", async () => {
  const executor = await WasmExecutor.create();
  const samples = targetSamples(SEEDS * COUNT);
  const faults: string[] = [];
  let covered = 0;
  let cases = 0;
  for (const prior of ["torsion_grid", "laplace"] as const) {
    for (const enabled of [true, false]) {
      executor.prepare(await problem(prior, enabled));
      const run = async (seed: number, backwards: boolean) => {
        const positions = samples.slice(12 * seed * COUNT, 12 * (seed + 1) * COUNT);
        const path = await executor.trajectories({
          seed: 100 + seed,
          first: 0,
          count: COUNT,
          times: uniformTimes(5),
          direction: backwards ? "backward" : "forward",
          ...(backwards ? { positions } : {}),
          keep: false,
        });
        return path.logWeights;
      };
      const results = { forward: { hits: 0, errors: 0 }, bridge: { hits: 0, errors: 0 } };
      let ess = 0;
      const ratios: number[] = [];
      for (let seed = 0; seed < SEEDS; seed++) {
        const forward = await run(seed, false);
        ess += effectiveSampleSize(forward) / SEEDS;
        ratios.push(...forward.map((w) => Math.exp(w - logZ)));
        const estimates = {
          forward: logPartitionFunction(forward),
          bridge: logPartitionFromBothEnds(forward, await run(seed, true)),
        };
        for (const name of ["forward", "bridge"] as const) {
          const error = (estimates[name].logZ - logZ) / estimates[name].standardError;
          if (Math.abs(error) < 1.96) results[name].hits++;
          results[name].errors += error / Math.sqrt(SEEDS);
        }
      }
      for (const [name, { hits, errors }] of Object.entries(results)) {
        const what = `${prior}, network ${enabled}, ${name}, ESS ${ess}`;
        covered += hits;
        cases++;
        if (Math.abs(errors) > 4) faults.push(`${what}: log Z off by ${errors} standard errors`);
        if (hits < 40) faults.push(`${what}: covered ${hits} of ${SEEDS}`);
      }
      const mean = ratios.reduce((a, b) => a + b, 0) / ratios.length;
      const error = Math.sqrt(
        ratios.reduce((a, b) => a + (b - mean) ** 2, 0) / ratios.length ** 2,
      );
      if (Math.abs(mean - 1) > 4 * error) faults.push(`Z off: ${mean} ± ${error}`);
      assert.ok(error < 0.02, `standard error ${error} is too large to see a bias`);
      assert.ok(ess > 0.05 && ess < 0.97, `ESS ${ess} does not test the weights`);
    }
  }
  const coverage = covered / (cases * SEEDS);
  if (coverage < 0.88 || coverage > 0.99) faults.push(`coverage ${coverage}`);
  assert.deepEqual(faults, []);
});
