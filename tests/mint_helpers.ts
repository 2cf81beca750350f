/** Small Mint models for tests. */
import { RandomStream, Stream } from "../src/math/random.ts";
import { mintComponentSize, type MintModel } from "../src/mint/model.ts";

/** A model with random parameters of moderate sharpness. */
export function randomMint(
  shape: {
    particles: number;
    dimension: 2 | 3;
    components: number;
    symmetrise: boolean;
    broadWeight?: number;
    groups?: number[][];
    seed?: number;
    /** Mean of log κ. */
    logKappa?: number;
  },
): MintModel {
  const { particles, dimension: n, components } = shape;
  const random = new RandomStream(shape.seed ?? 7, Stream.test, 0);
  const size = mintComponentSize(particles, n);
  const m = particles - 1;
  const parameters = new Float64Array(components * size);
  for (let k = 0; k < components; k++) {
    const at = k * size + 1;
    parameters[k * size] = 0.5 * random.normal();
    for (let j = 0; j < m; j++) {
      for (let d = 0; d < n; d++) parameters[at + j * n + d] = random.normal();
      parameters[at + m * n + j] = Math.log(2) + 0.2 * random.normal();
      parameters[at + m * (n + 1) + j] = Math.log(0.25) + 0.2 * random.normal();
      parameters[at + m * (n + 2) + j] = (shape.logKappa ?? 1.5) + 0.5 * random.normal();
    }
  }
  return {
    family: "orbit_vmf",
    components,
    particles,
    dimension: n,
    symmetrise: shape.symmetrise,
    identicalParticles: shape.groups ?? [Array.from({ length: particles }, (_, i) => i)],
    broadWeight: components === 0 ? 1 : shape.broadWeight ?? 0.1,
    broadScale: 1.3,
    parameters,
  };
}

/** `count` random configurations (count, N, n), not anchored. */
export function randomPositions(
  count: number,
  particles: number,
  n: number,
  scale = 1.3,
  seed = 11,
): Float64Array {
  const random = new RandomStream(seed, Stream.test, 1);
  return Float64Array.from({ length: count * particles * n }, () => scale * random.normal());
}
