/** Identical particles: what a family declares, and what is refused. Training of every family. */
import assert from "node:assert/strict";
import type { MintConfig } from "../src/config/config.ts";
import { preset } from "../src/config/presets.ts";
import { InputError } from "../src/errors.ts";
import { RandomStream, Stream } from "../src/math/random.ts";
import { withEstimates } from "../src/mint/families.ts";
import { addRepulsion } from "../src/mint/loss.ts";
import { drawMint, MintDensity, mintLabellings } from "../src/mint/mixture.ts";
import { missesLabellings, permutationTreatment } from "../src/mint/permutations.ts";
import { initialiseMint } from "../src/mint/start.ts";
import { localMintJobs, MintTraining } from "../src/mint/train.ts";
import { createSystem } from "../src/systems/create.ts";
import { randomFamily } from "./mint_helpers.ts";

const dw4 = preset("dw4");
const lj13 = preset("lj13");
const cluster = createSystem(lj13.system);
const wells = createSystem(dw4.system);

/** Few components and iterations on LJ-13, with what is given put over it. */
const onCluster = (over: Partial<MintConfig>) => () =>
  initialiseMint(cluster, {
    ...lj13.mint,
    components: 2,
    broad: { weight: 0.05, scale: 1 },
    starts: 2,
    descentSteps: 50,
    ...over,
  }, 1);

const refused = (make: () => unknown, pattern: RegExp) =>
  assert.throws(make, (error: unknown) => {
    assert.ok(error instanceof InputError && !error.message.includes("\n"));
    assert.match(error.message, pattern);
    return true;
  });

Deno.test("a labelled family on 13 identical particles is refused with a way out, unless forced", () => {
  for (const family of ["orbit_vmf", "pvmf", "orbit_gaussian"] as const) {
    const gaussian = { mean: "minima", covariance: "diagonal" } as const;
    refused(
      onCluster({ family, gaussian, symmetrise: true }),
      /6\.2e\+9 labellings.*orbit_gaussian/,
    );
    refused(onCluster({ family, gaussian, symmetrise: false }), /covers one of.*allowLabelled/);
  }
  // Forcing does not make 13! labellings enumerable.
  refused(onCluster({ symmetrise: true, allowLabelled: true }), /at most 5040 are enumerated/);
  const forced = onCluster({ symmetrise: false, allowLabelled: true })();
  assert.equal(permutationTreatment(forced), "none");
  assert.ok(missesLabellings(forced));
});

Deno.test("mean zero and one scale: invariant under all 13! labellings, and asks for none", () => {
  const model = onCluster({
    family: "orbit_gaussian",
    components: 4,
    gaussian: { mean: "zero", covariance: "scale" },
    symmetrise: true,
  })();
  assert.equal(permutationTreatment(model), "invariant");
  assert.ok(!missesLabellings(model));
  assert.equal(mintLabellings(model).count, 1);
  const scales = [1, 3, 5, 7].map((at) => Math.exp(model.parameters[at]));
  assert.ok(scales.every((s, k) => k === 0 || s > scales[k - 1] * 1.05), `${scales}`);
  const q = new MintDensity(model);
  const random = new RandomStream(1, Stream.test, 0);
  const x = drawMint(q, 1, 0, 1);
  const value = q.logDensity(x);
  for (let round = 0; round < 20; round++) {
    const order = Array.from({ length: 13 }, (_, i) => i);
    for (let i = 12; i > 0; i--) {
      const j = random.integer(i + 1);
      [order[i], order[j]] = [order[j], order[i]];
    }
    const relabelled = x.map((_, at) => x[order[Math.floor(at / 3)] * 3 + at % 3]);
    assert.ok(Math.abs(q.logDensity(relabelled) - value) < 1e-10);
  }
});

Deno.test("what a model does about identical particles", () => {
  const of = (...[family, options]: Parameters<typeof randomFamily>) =>
    permutationTreatment(randomFamily(family, options));
  const shape = { particles: 3, dimension: 2, components: 1, normaliserSamples: 64 } as const;
  assert.equal(of("orbit_vmf", shape), "enumerated");
  assert.equal(of("pvmf", shape), "enumerated");
  assert.equal(of("pvmf", { ...shape, symmetrise: false }), "none");
  for (const mean of ["zero", "minima"] as const) {
    for (const covariance of ["scale", "diagonal", "full"] as const) {
      const want = mean === "zero" && covariance === "scale" ? "invariant" : "enumerated";
      assert.equal(of("orbit_gaussian", { ...shape, gaussian: { mean, covariance } }), want);
    }
  }
  // Components are what is labelled: the broad part alone is invariant.
  assert.equal(
    permutationTreatment({ ...randomFamily("pvmf", shape), components: 0 }),
    "invariant",
  );
});

Deno.test("the repulsion's gradient agrees with finite differences in every family with means", () => {
  for (
    const [family, gaussian] of [
      ["pvmf", undefined],
      ["orbit_gaussian", { mean: "minima", covariance: "full" }],
      ["orbit_gaussian", { mean: "minima", covariance: "diagonal" }],
    ] as const
  ) {
    const model = randomFamily(family, {
      particles: 4,
      dimension: 3,
      components: 3,
      gaussian,
      normaliserSamples: 64,
    });
    const gradient = new Float64Array(model.parameters.length);
    assert.ok(addRepulsion(model, 0.7, gradient) > 0);
    for (let i = 0; i < gradient.length; i++) {
      const at = (delta: number) => {
        const parameters = model.parameters.slice();
        parameters[i] += delta;
        return addRepulsion({ ...model, parameters }, 0.7, new Float64Array(gradient.length));
      };
      const difference = (at(1e-5) - at(-1e-5)) / 2e-5;
      assert.ok(Math.abs(difference - gradient[i]) < 1e-8, `${i}: ${difference} ${gradient[i]}`);
    }
  }
});

const trained: [string, Partial<MintConfig>][] = [
  ["pvmf", { family: "pvmf", pvmf: { normaliserSamples: 512, langevinSteps: 10 } }],
  ["orbit_gaussian, one scale", {
    family: "orbit_gaussian",
    gaussian: { mean: "minima", covariance: "scale" },
  }],
  ["orbit_gaussian, diagonal", {
    family: "orbit_gaussian",
    gaussian: { mean: "minima", covariance: "diagonal" },
  }],
  ["orbit_gaussian, full", {
    family: "orbit_gaussian",
    gaussian: { mean: "minima", covariance: "full" },
  }],
];

for (const [name, over] of trained) {
  const config: MintConfig = {
    ...dw4.mint,
    components: 4,
    starts: 8,
    samples: 96,
    iterations: 80,
    ...over,
  };
  Deno.test(`${name}: training raises the batch ESS, and resumes to the same bits`, async () => {
    const jobs = localMintJobs(wells);
    const model = initialiseMint(wells, config, 4);
    const training = new MintTraining(withEstimates(model, 64), config, 4);
    assert.equal(
      training.model.normalisers,
      undefined,
      "estimates do not outlive their parameters",
    );
    const ess: number[] = [];
    let resumed: MintTraining | null = null;
    while (training.iteration < config.iterations) {
      const report = await training.step(jobs);
      assert.ok(Number.isFinite(report.loss) && Number.isFinite(report.gradientNorm));
      ess.push(report.ess);
      // A second training that starts from the first one's state halfway, and goes 5 steps with it.
      if (training.iteration === 40) {
        resumed = new MintTraining(training.model, config, 4, structuredClone(training.state()));
      } else if (resumed && training.iteration <= 45) {
        await resumed.step(jobs);
        assert.deepEqual(resumed.state(), training.state());
      }
    }
    const mean = (values: number[]) => values.reduce((a, b) => a + b) / values.length;
    assert.ok(mean(ess.slice(-20)) > 0.05 + mean(ess.slice(0, 10)), `${ess}`);
  });
}

Deno.test("a mixture of scales learns the scales of a mixture of scales", async () => {
  // Target energies −log p of a known two-scale mixture: the ESS goes to one.
  const gaussian = { mean: "zero", covariance: "scale" } as const;
  const config: MintConfig = {
    ...lj13.mint,
    family: "orbit_gaussian",
    gaussian,
    components: 2,
    broad: { weight: 0.05, scale: 1.2 },
    iterations: 150,
    samples: 128,
    learningRate: 0.03,
  };
  const start = initialiseMint(cluster, config, 2);
  const target = new MintDensity({
    ...start,
    parameters: Float64Array.of(0.4, Math.log(0.75), 0, Math.log(1.05)),
  });
  const local = localMintJobs(cluster);
  const jobs = {
    ...local,
    draw: async (...request: Parameters<typeof local.draw>) => {
      const draw = await local.draw(...request);
      const energies = draw.energies.map((_, s) => -target.logDensity(draw.positions, 39 * s));
      return { ...draw, energies };
    },
  };
  const training = new MintTraining(start, config, 2);
  const ess: number[] = [];
  while (training.iteration < config.iterations) ess.push((await training.step(jobs)).ess);
  const last = ess.slice(-10).reduce((a, b) => a + b) / 10;
  assert.ok(ess[0] < 0.9 && last > 0.98, `${ess[0]} to ${last}`);
  const found = [1, 3].map((at) => Math.exp(training.model.parameters[at]));
  assert.ok(Math.abs(found[0] - 0.75) < 0.02 && Math.abs(found[1] - 1.05) < 0.02, `${found}`);
});
