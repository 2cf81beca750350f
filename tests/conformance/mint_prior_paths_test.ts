/** Draws, Mint gradients and whole trajectories from a prior of every family: wasm and reference. */
import assert from "node:assert/strict";
import type { Problem, TrajectoryJob } from "../../src/backends/backend.ts";
import { ReferenceExecutor } from "../../src/backends/reference/executor.ts";
import type { GaussianConfig, MintConfig } from "../../src/config/config.ts";
import { preset } from "../../src/config/presets.ts";
import { uniformTimes } from "../../src/julep/schedule.ts";
import { initialiseJulep } from "../../src/julep/train.ts";
import { Stream } from "../../src/math/random.ts";
import { withEstimates } from "../../src/mint/families.ts";
import { initialiseMint } from "../../src/mint/start.ts";
import { createSystem } from "../../src/systems/create.ts";
import { eachBackend } from "./backends.ts";

function problem(name: string, mint: Partial<MintConfig>): Problem {
  const config = preset(name);
  const system = createSystem(config.system);
  const julep = { ...config.julep, network: { ...config.julep.network, enabled: false } };
  const whole = { ...config.mint, starts: 8, ...mint };
  return {
    system: config.system,
    mint: withEstimates(initialiseMint(system, whole, 4), 256),
    julep: initialiseJulep(system, julep, 4),
  };
}

const gaussian = (mean: GaussianConfig["mean"], covariance: GaussianConfig["covariance"]) => ({
  family: "orbit_gaussian" as const,
  gaussian: { mean, covariance },
});

const cases: [string, Problem, number][] = [
  ["dw4, pvmf", problem("dw4", { family: "pvmf", components: 6 }), 12],
  [
    "dw4, diagonal Gaussians",
    problem("dw4", { components: 6, ...gaussian("minima", "diagonal") }),
    12,
  ],
  ["dw4, full Gaussians", problem("dw4", { components: 6, ...gaussian("minima", "full") }), 12],
  [
    "lj13, three scales",
    problem("lj13", {
      components: 3,
      broad: { weight: 0.1, scale: 1 },
      ...gaussian("zero", "scale"),
    }),
    4,
  ],
];

for (const [name, setUp, count] of cases) {
  const reference = new ReferenceExecutor();
  reference.prepare(setUp);
  const job: TrajectoryJob = {
    seed: 5,
    first: 0,
    count,
    times: uniformTimes(30),
    direction: "forward",
    keep: false,
  };

  eachBackend(
    `trajectories: log-weights within 1e-3 of the reference, ${name}`,
    async (executor) => {
      await executor.prepare(setUp);
      const want = reference.trajectories(job).logWeights;
      const got = (await executor.trajectories(job)).logWeights;
      let compared = 0;
      for (let s = 0; s < count; s++) {
        // A path of no weight: colliding particles, where float32 is not required to follow.
        if (!(want[s] > -1e4)) continue;
        compared++;
        const error = Math.abs(got[s] - want[s]);
        assert.ok(error < 1e-3, `${s}: ${got[s]} ${want[s]}`);
      }
      assert.ok(compared >= count / 2, `${compared}`);
    },
  );

  eachBackend(`Mint draws and gradient as the reference's, ${name}`, async (executor) => {
    await executor.prepare(setUp);
    const draws = { seed: 3, first: 0, count: 20, stream: Stream.mintBatch };
    const want = reference.drawPrior(draws);
    const got = await executor.drawPrior(draws);
    assert.deepEqual(got.positions, want.positions);
    got.logDensity.forEach((value, s) =>
      assert.ok(Math.abs(value - want.logDensity[s]) < 2e-5 + 2e-6 * Math.abs(value))
    );
    const weights = Float64Array.from({ length: 20 }, (_, s) => s === 7 ? 0 : 0.1 - 0.008 * s);
    const batch = { count: 20, positions: want.positions, weights };
    const expected = reference.mintGradient(batch);
    const gradient = await executor.mintGradient(batch);
    const scale = Math.max(...expected.map(Math.abs));
    assert.equal(gradient.length, setUp.mint!.parameters.length);
    gradient.forEach((value, i) =>
      assert.ok(Math.abs(value - expected[i]) < 5e-5 * (1 + scale), `${i}: ${value} ${expected[i]}`)
    );
  });
}
