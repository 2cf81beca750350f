/** The Gaussian kernels against the float64 mixture, in both SIMD modules. */
import type { GaussianConfig } from "../../src/config/config.ts";
import type { MintModel } from "../../src/mint/model.ts";
import { randomFamily } from "../mint_helpers.ts";
import { mintPriorTests } from "./mint_prior_suite.ts";

type Options = Parameters<typeof randomFamily>[1];
const minima = (covariance: GaussianConfig["covariance"]): GaussianConfig => ({
  mean: "minima",
  covariance,
});

const shapes: [string, Options][] = [
  ["n=2 N=4, one scale, 24 labellings", {
    particles: 4,
    dimension: 2,
    components: 4,
    gaussian: minima("scale"),
  }],
  ["n=2 N=4, diagonal, sharp", {
    particles: 4,
    dimension: 2,
    components: 6,
    gaussian: minima("diagonal"),
    width: 0.1,
    broadWeight: 0.02,
  }],
  ["n=2 N=5, full, no labellings, no broad part", {
    particles: 5,
    dimension: 2,
    components: 3,
    gaussian: minima("full"),
    symmetrise: false,
    broadWeight: 0,
  }],
  ["n=2 N=2, full", { particles: 2, dimension: 2, components: 2, gaussian: minima("full") }],
  ["n=3 N=4, diagonal, 24 labellings", {
    particles: 4,
    dimension: 3,
    components: 3,
    gaussian: minima("diagonal"),
  }],
  ["n=3 N=4, full, sharp", {
    particles: 4,
    dimension: 3,
    components: 3,
    gaussian: minima("full"),
    width: 0.15,
  }],
  ["n=3 N=2: rank-one C", {
    particles: 2,
    dimension: 3,
    components: 2,
    gaussian: minima("scale"),
  }],
  ["n=3 N=13, diagonal, no labellings", {
    particles: 13,
    dimension: 3,
    components: 3,
    gaussian: minima("diagonal"),
    symmetrise: false,
  }],
  ["n=3 N=3, mean zero, full", {
    particles: 3,
    dimension: 3,
    components: 2,
    gaussian: { mean: "zero", covariance: "full" },
  }],
  ["n=3 N=13, mixture of 4 scales", {
    particles: 13,
    dimension: 3,
    components: 4,
    gaussian: { mean: "zero", covariance: "scale" },
    width: 1.1,
  }],
  ["n=2 N=55, mixture of 2 scales, no broad part", {
    particles: 55,
    dimension: 2,
    components: 2,
    gaussian: { mean: "zero", covariance: "scale" },
    broadWeight: 0,
  }],
];

mintPriorTests(
  "orbit_gaussian",
  shapes.map(([name, shape]): [string, MintModel] => [name, randomFamily("orbit_gaussian", shape)]),
);
