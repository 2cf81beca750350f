/** Where Mint starts: components at minimised random configurations. */
import type { MintConfig } from "../config/config.ts";
import { InputError } from "../errors.ts";
import { descend } from "../math/lbfgs.ts";
import { RandomStream, Stream } from "../math/random.ts";
import type { System } from "../systems/system.ts";
import { componentSize, familyOf, withEstimates } from "./families.ts";
import type { MintModel, MintShape } from "./model.ts";
import { Molecule } from "../systems/molecule/molecule.ts";
import { MintDensity } from "./mixture.ts";
import { anchorAtom, cartesianStarts } from "./molecule/cartesian.ts";
import { checkPermutations } from "./permutations.ts";

/** A minimised configuration by place, the anchor first and at the origin. */
export interface MintStart {
  readonly positions: Float64Array;
  /** See ComponentStart; where more than a width is known. */
  readonly covariance?: Float64Array;
  readonly energy: number;
  /** All pair distances in ascending order: equal for copies of one minimum. */
  readonly distances: Float64Array;
}

/** Pair distances closer than this fraction of the length scale count as the same minimum. */
const SAME = 0.02;

/**
 * Minimises `count` random configurations (numbers of the stream `starts`, start s from sample s).
 * Sorted by energy; starts that end at no finite energy are left out.
 */
export function minimisedStarts(
  system: System,
  count: number,
  descentSteps: number,
  seed: number,
): MintStart[] {
  const { particles, dimension: n } = system;
  const starts: MintStart[] = [];
  // A cloud about as dense as the relaxed system: N cells of one length scale each.
  const spread = 0.6 * system.lengthScale * particles ** (1 / n);
  for (let s = 0; s < count; s++) {
    const random = new RandomStream(seed, Stream.starts, s);
    const positions = new Float64Array(particles * n);
    for (let i = 0; i < positions.length; i++) positions[i] = spread * random.normal();
    const energy = descend(
      (x, gradient) => system.energyAndGradient(x, gradient),
      positions,
      descentSteps,
      0.5 * system.lengthScale,
    );
    if (!Number.isFinite(energy)) continue;
    for (let i = particles - 1; i >= 0; i--) {
      for (let d = 0; d < n; d++) positions[i * n + d] -= positions[d];
    }
    starts.push({ positions, energy, distances: pairDistances(positions, particles, n) });
  }
  return starts.sort((a, b) => a.energy - b.energy);
}

function pairDistances(x: Float64Array, particles: number, n: number): Float64Array {
  const distances = new Float64Array(particles * (particles - 1) / 2);
  let at = 0;
  for (let i = 0; i < particles; i++) {
    for (let j = i + 1; j < particles; j++) {
      let square = 0;
      for (let d = 0; d < n; d++) square += (x[i * n + d] - x[j * n + d]) ** 2;
      distances[at++] = Math.sqrt(square);
    }
  }
  return distances.sort();
}

/** Minima of a molecule, of any other system minimised random configurations. */
function startsOf(system: System, config: MintConfig, seed: number): MintStart[] {
  const { starts, descentSteps } = config;
  if (!(system instanceof Molecule && config.molecule)) {
    return minimisedStarts(system, Math.max(1, starts), descentSteps, seed);
  }
  const found = cartesianStarts(system, config.molecule, Math.max(1, starts), descentSteps, seed);
  return found.map((start) => ({
    ...start,
    distances: pairDistances(start.positions, system.particles, 3),
  }));
}

/** The first of every set of equal minima, in the order given. */
export function distinctStarts(starts: readonly MintStart[], lengthScale: number): MintStart[] {
  const kept: MintStart[] = [];
  for (const start of starts) {
    const known = kept.some((other) =>
      start.distances.every((d, i) => Math.abs(d - other.distances[i]) < SAME * lengthScale)
    );
    if (!known) kept.push(start);
  }
  return kept;
}

/** Root mean square coordinate about the centre of mass, per degree of freedom. */
function rmsCoordinate(start: MintStart, particles: number, n: number): number {
  let square = 0;
  for (const d of start.distances) square += d * d;
  // Σ_i |x_i − com|² = Σ_{i<j} d_ij² / N.
  return Math.sqrt(square / particles / ((particles - 1) * n));
}

/** What a configuration says of a system's prior; the broad scale may still be unknown (1 then). */
function shapeOf(system: System, config: MintConfig): MintShape {
  return {
    family: config.family,
    components: config.components,
    particles: system.particles,
    dimension: system.dimension,
    symmetrise: config.symmetrise,
    identicalParticles: system.identicalParticles,
    ...(config.molecule && system instanceof Molecule
      ? { anchor: anchorAtom(system, config.molecule) }
      : {}),
    broadWeight: config.broad.weight,
    broadScale: config.broad.scale === "auto" ? 1 : config.broad.scale,
    ...(config.family === "orbit_gaussian" ? { gaussian: config.gaussian } : {}),
    ...(config.family === "pvmf" ? { langevinSteps: config.pvmf.langevinSteps } : {}),
  };
}

/** Throws InputError for a labelled prior on more identical particles than can be enumerated. */
export function refuseLabelled(system: System, config: MintConfig): void {
  checkPermutations(shapeOf(system, config), config.allowLabelled);
}

/**
 * The untrained prior of a system.
 *
 * @throws InputError where the configuration cannot be a density, or no start can be minimised
 */
export function initialiseMint(system: System, config: MintConfig, seed: number): MintModel {
  refuseLabelled(system, config);
  const { particles, dimension } = system;
  const shape = shapeOf(system, config);
  const atMinima = config.components > 0 && familyOf(shape).hasMeans(shape);
  const needed = atMinima || config.broad.scale === "auto";
  const starts = needed ? startsOf(system, config, seed) : [];
  if (needed && starts.length === 0) {
    throw new InputError(
      `mint.starts: none of ${config.starts} random configurations of ${system.name} could be minimised`,
    );
  }
  let broadScale: number;
  if (config.broad.scale === "auto") {
    let mean = 0;
    for (const start of starts) mean += rmsCoordinate(start, particles, dimension) / starts.length;
    // Where particles attract each other without a core, the minimum is a point: no scale at all.
    broadScale = Math.max(BROAD_FACTOR * mean, config.initialWidth);
  } else broadScale = config.broad.scale;

  const whole: MintShape = { ...shape, broadScale };
  const size = componentSize(whole);
  const model: MintModel = { ...whole, parameters: new Float64Array(config.components * size) };
  const place = familyOf(whole).place;
  const slice = (k: number) => model.parameters.subarray(k * size + 1, (k + 1) * size);
  if (atMinima) {
    const chosen = chooseStarts(starts, system.lengthScale, config.components);
    chosen.forEach(({ start, widen }, k) =>
      place(
        slice(k),
        {
          positions: start.positions,
          width: config.initialWidth * widen,
          covariance: start.covariance?.map((v) => v * widen ** 2),
        },
        whole,
      )
    );
  } else {
    // No configuration to start at, so widths differ: a ladder of scales about the broad one.
    const origin = new Float64Array(particles * dimension);
    for (let k = 0; k < config.components; k++) {
      const rung = config.components > 1 ? k / (config.components - 1) : 1;
      const width = broadScale * LADDER[0] * (LADDER[1] / LADDER[0]) ** rung;
      place(slice(k), { positions: origin, width }, whole);
    }
  }
  // Refuses what cannot be a density, before any training.
  new MintDensity(withEstimates(model, 1));
  return model;
}

/** First and last of the scales that components without a configuration start from, over broad. */
const LADDER = [0.6, 1];

/** The broad scale over the minima's rms coordinate: thermal samples are wider than minima. */
const BROAD_FACTOR = 1.1;

/**
 * K starts: the distinct minima first, lowest energy first; then all over again with other widths,
 * so that components of one minimum can part (equal ones never would), up to 11 times wider. The
 * wide ones find the regions between minima; starts all of one width lost modes in our trials.
 */
function chooseStarts(
  starts: readonly MintStart[],
  lengthScale: number,
  components: number,
): { start: MintStart; widen: number }[] {
  const distinct = distinctStarts(starts, lengthScale);
  return Array.from({ length: components }, (_, k) => {
    const round = Math.floor(k / distinct.length);
    // Seven widths, then the same shifted by fractions of a step that do not repeat.
    const shift = Math.floor(round / 7) * GOLDEN % 1;
    return { start: distinct[k % distinct.length], widen: 1.5 ** (round % 7 + shift) };
  });
}

const GOLDEN = 0.6180339887498949;
