/** The orbit von Mises-Fisher kernel against the float64 mixture, in both SIMD modules and WGSL. */
import type { MintModel } from "../../src/mint/model.ts";
import { randomMint } from "../mint_helpers.ts";
import { mintPriorTests } from "./mint_prior_suite.ts";

const cases: [string, MintModel][] = [
  ["n=2 N=4, 24 labellings", { particles: 4, dimension: 2, components: 5, symmetrise: true }],
  ["n=2 N=4, sharp", {
    particles: 4,
    dimension: 2,
    components: 6,
    symmetrise: true,
    logKappa: 6,
    broadWeight: 0.02,
  }],
  ["n=2 N=2", { particles: 2, dimension: 2, components: 3, symmetrise: true }],
  ["n=2 N=13, no labellings", {
    particles: 13,
    dimension: 2,
    components: 2,
    symmetrise: false,
  }],
  ["n=2 N=5, groups, no broad part", {
    particles: 5,
    dimension: 2,
    components: 3,
    symmetrise: true,
    groups: [[0, 3], [1, 2, 4]],
    broadWeight: 0,
  }],
  ["n=3 N=4, 24 labellings", { particles: 4, dimension: 3, components: 3, symmetrise: true }],
  ["n=3 N=3, sharp", {
    particles: 3,
    dimension: 3,
    components: 3,
    symmetrise: true,
    logKappa: 6,
  }],
  ["n=3 N=2: rank-one C", { particles: 2, dimension: 3, components: 2, symmetrise: true }],
  ["n=3 N=13, no labellings", {
    particles: 13,
    dimension: 3,
    components: 3,
    symmetrise: false,
    logKappa: 4,
  }],
  ["n=3 N=55, broad part alone", {
    particles: 55,
    dimension: 3,
    components: 0,
    symmetrise: true,
  }],
].map(([name, shape]) => [name as string, randomMint(shape as Parameters<typeof randomMint>[0])]);

mintPriorTests("orbit_vmf", cases);
