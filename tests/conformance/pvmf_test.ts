/** The PvMF kernel against the float64 mixture, in both SIMD modules. */
import type { MintModel } from "../../src/mint/model.ts";
import { randomFamily } from "../mint_helpers.ts";
import { mintPriorTests } from "./mint_prior_suite.ts";

const shapes: [string, Parameters<typeof randomFamily>[1]][] = [
  ["n=2 N=4, 24 labellings", { particles: 4, dimension: 2, components: 5 }],
  ["n=2 N=4, sharp", {
    particles: 4,
    dimension: 2,
    components: 6,
    logKappa: 8,
    broadWeight: 0.02,
  }],
  ["n=2 N=2: nothing to turn", { particles: 2, dimension: 2, components: 2 }],
  ["n=2 N=5, no labellings, no broad part", {
    particles: 5,
    dimension: 2,
    components: 3,
    symmetrise: false,
    broadWeight: 0,
  }],
  ["n=3 N=4, 24 labellings", { particles: 4, dimension: 3, components: 3 }],
  ["n=3 N=3, sharp", { particles: 3, dimension: 3, components: 3, logKappa: 8 }],
  ["n=3 N=13, no labellings", {
    particles: 13,
    dimension: 3,
    components: 3,
    symmetrise: false,
    logKappa: 6,
  }],
];

mintPriorTests(
  "pvmf",
  shapes.map(([name, shape]): [string, MintModel] => [
    name,
    randomFamily("pvmf", { normaliserSamples: 256, ...shape }),
  ]),
);
