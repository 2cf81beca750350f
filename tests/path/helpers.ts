/** Systems, priors and flows that the tests of paths share. */
import type { DoubleWellConfig, LennardJonesConfig } from "../../src/config/config.ts";
import { RandomStream, Stream } from "../../src/math/random.ts";
import type { MintModel } from "../../src/mint/model.ts";
import type { PairFlow } from "../../src/path/model.ts";

export const lennardJones = (particles: number): LennardJonesConfig => ({
  kind: "lennard_jones",
  particles,
  epsilon: 2,
  oscillator: 1,
  softCore: { kind: "beutler", alpha: 0.5 },
});

/** Σ_{i<j} a r², a Gaussian: U = a N |x|² on the centre-of-mass-free subspace. */
export const gaussian = (particles: number, dimension: 2 | 3, a: number): DoubleWellConfig => ({
  kind: "double_well",
  particles,
  dimension,
  offset: 0,
  linear: 0,
  quadratic: a,
  quartic: 0,
  temperature: 1,
});

/** log Z of `gaussian` in the anchored measure. */
export function gaussianLogZ(particles: number, dimension: 2 | 3, a: number): number {
  const free = (particles - 1) * dimension;
  return 0.5 * free * Math.log(Math.PI / (a * particles)) + 0.5 * dimension * Math.log(particles);
}

export const dw4: DoubleWellConfig = {
  kind: "double_well",
  particles: 4,
  dimension: 2,
  offset: 4,
  linear: 0,
  quadratic: -4,
  quartic: 0.9,
  temperature: 1,
};

/** The broad Gaussian alone, N(0, scale²) without the centre of mass. */
export const broadPrior = (particles: number, dimension: 2 | 3, scale: number): MintModel => ({
  family: "orbit_vmf",
  components: 0,
  particles,
  dimension,
  symmetrise: true,
  identicalParticles: [Array.from({ length: particles }, (_, i) => i)],
  broadWeight: 1,
  broadScale: scale,
  parameters: new Float64Array(0),
});

/** Tables with random slopes, smooth over a few cells, within `spread` of 1. */
export function randomFlow(
  levels: number,
  cells: number,
  width: number,
  spread: number,
  seed: number,
): PairFlow {
  const tables = new Float64Array(levels * (cells + 1));
  for (let k = 0; k < levels; k++) {
    const random = new RandomStream(seed, Stream.test, k);
    let slope = 1;
    for (let c = 1; c <= cells; c++) {
      slope += 0.3 * (1 + spread * (2 * random.uniform() - 1) - slope);
      tables[k * (cells + 1) + c] = tables[k * (cells + 1) + c - 1] + slope * width;
    }
  }
  return { cells, width, tables };
}

/** Float32 positions (count, N, n) of a jittered grid, neighbours about `spacing` apart. */
export function scattered(
  particles: number,
  dimension: number,
  count: number,
  seed: number,
  spacing = 1.05,
  jitter = 0.09,
): Float64Array {
  const size = particles * dimension;
  const side = Math.ceil(particles ** (1 / dimension));
  const random = new RandomStream(seed, Stream.test, 0);
  return Float64Array.from({ length: count * size }, (_, at) => {
    const particle = Math.floor((at % size) / dimension);
    const cell = Math.floor(particle / side ** (at % dimension)) % side;
    return Math.fround(spacing * cell + jitter * random.normal());
  });
}
