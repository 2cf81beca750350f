/**
 * Moves after resampling (IslandMoves) leave the level's distribution as it is: independent samples of
 * e^{−U}, moved, are still samples of it, and W is what it was. U = ½κ|x|² without the centre of mass (a
 * pair path of no depth), whose energies follow a gamma distribution; steps so long that a good part is
 * refused, and that without refusals the variance would be another.
 *
 * False alarms: ⟨U⟩ and ⟨U²⟩ within 4.5 standard errors of independent samples, 7e-6 each; seeds are
 * fixed. Tried, and each fails: all proposals accepted, acceptance that forgets the kinetic energy, a
 * last half kick left out.
 */
import assert from "node:assert/strict";
import { ExactParts } from "../../src/backends/exact.ts";
import type { PathEngine } from "../../src/backends/population.ts";
import { ReferencePathEngine } from "../../src/backends/reference/path.ts";
import { loadKernels } from "../../src/backends/wasm/module.ts";
import { WasmPathBackend } from "../../src/backends/wasm/path.ts";
import type { PathModel } from "../../src/path/model.ts";
import { drawGaussianPrior } from "../../src/path/prior.ts";
import { lennardJones } from "../path/helpers.ts";

const PARTICLES = 4;
const KAPPA = 2;
const FREEDOM = 3 * (PARTICLES - 1);
const COUNT = 20_000;
const SIZE = 3 * PARTICLES;

/**
 * The level in question, all but without pairs, whose own transition hardly moves (dt is that of the moves
 * over 1e4), and the target's, which nothing here goes to.
 */
function pathTo(kernel: "underdamped" | "adjusted", clip: number): PathModel {
  return {
    kernel,
    leapfrogs: kernel === "adjusted" ? 1 : 0,
    levels: {
      kind: "pair_path",
      priorVariance: 1 / KAPPA,
      depth: Float64Array.of(1e-12, 2),
      attraction: Float64Array.of(1, 1),
      softness: Float64Array.of(1, 0),
      confinement: Float64Array.of(KAPPA, 1),
    },
    stepSize: Float64Array.of(1e-4, 1e-4),
    friction: Float64Array.of(1, 1),
    clip: Float64Array.of(clip, clip),
    flow: null,
  };
}

async function engines(path: PathModel): Promise<[string, PathEngine][]> {
  const parts = new ExactParts({ system: lennardJones(PARTICLES), mint: null, julep: null, path });
  const none = { pairKind: 2, pairParameters: 0, prior: 0, priorScratch: 0 };
  const wasm = new WasmPathBackend(await loadKernels(), parts, none).engine(path);
  const reference = new ReferencePathEngine({
    system: parts.system,
    path,
    drawPrior: (options) => parts.drawPathPrior(options),
    priorLogDensity: () => NaN,
  });
  return [["wasm", wasm], ["reference", reference]];
}

const energyOf = (x: Float32Array | Float64Array, s: number) => {
  let squares = 0;
  for (let a = s * SIZE; a < (s + 1) * SIZE; a++) squares += x[a] ** 2;
  return 0.5 * KAPPA * squares;
};

for (const kernel of ["underdamped", "adjusted"] as const) {
  for (const clip of [0, 3]) {
    Deno.test(`moves leave target samples target samples: ${kernel}, clip ${clip}`, async () => {
      const samples = drawGaussianPrior(6, 0, COUNT, PARTICLES, 3, 1 / KAPPA);
      for (const [name, engine] of await engines(pathTo(kernel, clip))) {
        const population = engine.fromTarget({ seed: 12, first: 0, count: COUNT }, samples);
        population.advance(0);
        const before = population.positions();
        const weights = population.logWeights();
        population.move({ transitions: 2, leapfrogs: 3, stepFactor: 0.95e4 });
        const after = population.positions();
        let kept = 0;
        let mean = 0;
        let square = 0;
        for (let s = 0; s < COUNT; s++) {
          if (after[s * SIZE] === before[s * SIZE]) kept++;
          const u = energyOf(after, s);
          mean += u / COUNT;
          square += u * u / COUNT;
        }
        // Refused twice.
        assert.ok(kept > 0.02 * COUNT && kept < 0.5 * COUNT, `${name}: ${kept} stayed`);
        const half = FREEDOM / 2;
        const second = half * (half + 1);
        const fourth = second * (half + 2) * (half + 3);
        const error = (mean - half) / Math.sqrt(half / COUNT);
        const squareError = (square - second) / Math.sqrt((fourth - second ** 2) / COUNT);
        assert.ok(Math.abs(error) < 4.5, `${name}: ⟨U⟩ off by ${error} standard errors`);
        assert.ok(Math.abs(squareError) < 4.5, `${name}: ⟨U²⟩ off by ${squareError}`);
        population.logWeights().forEach((w, s) => {
          assert.ok(Math.abs(w - weights[s]) < 1e-4, `${name}: W of ${s} moved`);
        });
        population.dispose();
        engine.dispose();
      }
    });
  }
}
