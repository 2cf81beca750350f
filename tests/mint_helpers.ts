/** Small Mint models for tests. */
import { RandomStream, Stream } from "../src/math/random.ts";
import type { GaussianConfig } from "../src/config/config.ts";
import { componentSize, withEstimates } from "../src/mint/families.ts";
import { MintDensity } from "../src/mint/mixture.ts";
import { mintComponentSize, type MintModel, type MintShape } from "../src/mint/model.ts";

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

/** A model of any family with random parameters: means about 2 apart, widths about 0.6. */
export function randomFamily(
  family: MintModel["family"],
  options: {
    particles: number;
    dimension: 2 | 3;
    components: number;
    symmetrise?: boolean;
    gaussian?: GaussianConfig;
    broadWeight?: number;
    /** Of pvmf: mean of log κ, Langevin steps, samples of the normalisers. */
    logKappa?: number;
    langevinSteps?: number;
    normaliserSamples?: number;
    /** Standard deviations of a Gaussian component. */
    width?: number;
    seed?: number;
  },
): MintModel {
  const { particles, dimension: n, components, symmetrise = true } = options;
  if (family === "orbit_vmf") return randomMint({ ...options, symmetrise });
  const random = new RandomStream(options.seed ?? 8, Stream.test, 0);
  const m = particles - 1;
  const shape: MintShape = {
    family,
    components,
    particles,
    dimension: n,
    symmetrise,
    identicalParticles: [Array.from({ length: particles }, (_, i) => i)],
    broadWeight: options.broadWeight ?? 0.1,
    broadScale: 1.3,
    ...(family === "pvmf" ? { langevinSteps: options.langevinSteps ?? 20 } : {}),
    ...(family === "orbit_gaussian" ? { gaussian: options.gaussian } : {}),
  };
  const size = componentSize(shape);
  const parameters = new Float64Array(components * size);
  for (let k = 0; k < components; k++) {
    const own = parameters.subarray(k * size, (k + 1) * size);
    own[0] = 0.5 * random.normal();
    let at = 1;
    const next = (count: number, mean: number, spread: number) => {
      for (let i = 0; i < count; i++) own[at++] = mean + spread * random.normal();
    };
    if (family === "pvmf") {
      next(m * n, 0, 1);
      next(m, Math.log(2), 0.2);
      next(m, Math.log(0.25), 0.2);
      next(1, options.logKappa ?? 2, 0.3);
      continue;
    }
    const { mean, covariance } = options.gaussian!;
    const width = Math.log(options.width ?? 0.6);
    if (mean === "minima") next(m * n, 0, 1.5);
    if (covariance === "scale") next(1, width, 0.3);
    else if (covariance === "diagonal") next(particles, width, 0.3);
    else {
      for (let j = 0; j < m; j++) {
        next(j, 0, 0.3 * Math.exp(width));
        next(1, width, 0.3);
      }
    }
  }
  return withEstimates({ ...shape, parameters }, options.normaliserSamples ?? 4096);
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

/** Root of the sum of squared differences over the sum of squares. */
export function relativeError(got: ArrayLike<number>, want: ArrayLike<number>): number {
  let [difference, size] = [0, 0];
  for (let i = 0; i < want.length; i++) {
    difference += (got[i] - want[i]) ** 2;
    size += want[i] ** 2;
  }
  return Math.sqrt(difference / size);
}

/** Fourth-order central difference. */
export function slope(f: (delta: number) => number, h: number): number {
  return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h);
}

/** addParameterGradient, of a weight given in two parts, against finite differences of step h. */
export function parameterGradientError(model: MintModel, h: number): number {
  const x = randomPositions(1, model.particles, model.dimension, 1.5, 3);
  const gradient = new Float64Array(model.parameters.length);
  new MintDensity(model).addParameterGradient(x, 0.5, gradient);
  new MintDensity(model).addParameterGradient(x, 1.5, gradient);
  const differences = model.parameters.map((_, i) =>
    2 * slope((delta) => {
      const parameters = model.parameters.slice();
      parameters[i] += delta;
      return new MintDensity({ ...model, parameters }).logDensity(x);
    }, h)
  );
  return relativeError(gradient, differences);
}
