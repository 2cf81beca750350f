/** Runs without a network: the path of a configuration, its prior, and its pair flow. */
import type { MintConfig, PathConfig, RunConfig } from "../config/config.ts";
import { descend } from "../math/lbfgs.ts";
import { Conformers } from "../mint/molecule/conformers.ts";
import { InternalEnergy } from "../mint/molecule/internal_energy.ts";
import { laplaceModel } from "../mint/molecule/laplace.ts";
import { findMinima, type MinimaOptions } from "../mint/molecule/minima.ts";
import { softTorsions } from "../mint/molecule/torsions.ts";
import { minimisedStarts } from "../mint/start.ts";
import { clusterPath, type ClusterPathOptions } from "../path/cluster.ts";
import { fitPath } from "../path/fitted.ts";
import { mixturePath } from "../path/mixture.ts";
import type { PathModel } from "../path/model.ts";
import { tunedPath } from "../path/tuning.ts";
import { systematicResample } from "../sampling/resample.ts";
import { linearAngles } from "../systems/molecule/linear.ts";
import { Molecule } from "../systems/molecule/molecule.ts";
import { ZMatrix } from "../systems/molecule/zmatrix.ts";
import type { System } from "../systems/system.ts";
import type { PathStage } from "./directory.ts";
import type { RunJobs } from "./jobs.ts";
import { InputError } from "../errors.ts";

/** The levels of a configuration, tuned where it says how, without a flow. */
export function pathModel(system: RunConfig["system"], path: PathConfig): PathModel {
  const plain = untunedPath(system, path);
  return path.tuning ? tunedPath(plain, path.tuning) : plain;
}

function untunedPath(system: RunConfig["system"], path: PathConfig): PathModel {
  const { kernel, levels, leapfrogs, variant, stepSize } = path;
  if (system.kind === "lennard_jones") {
    const options: ClusterPathOptions = { kernel, levels, leapfrogs, variant };
    return clusterPath(system, stepSize === null ? options : { ...options, stepFactor: stepSize });
  }
  return mixturePath({ kernel, levels, leapfrogs, stepSize: stepSize! });
}

/** The Mint prior of a run; a cluster's path brings its own Gaussian. */
export function mintOfRun(config: RunConfig): MintConfig {
  const { mint, path, system } = config;
  if (!path || system.kind !== "lennard_jones") return mint;
  const { levels } = pathModel(system, path);
  if (levels.kind !== "pair_path") return mint;
  const scale = Math.sqrt(levels.priorVariance);
  return { ...mint, components: 0, iterations: 0, broad: { weight: 1, scale } };
}

/** The path with its flow fitted, where the configuration wants one. */
export async function makePath(
  system: System,
  config: PathConfig,
  seed: number,
  jobs: RunJobs,
): Promise<PathStage> {
  const model = pathModel(system.config, config);
  if (!config.flow) {
    return { model, explained: new Float64Array(0), scale: new Float64Array(0), evaluations: 0 };
  }
  // Training's own numbers: never those a user can ask for.
  const { path, fit, cost } = await fitPath(
    model,
    { seed: seed + 2 ** 32, ...config.flow },
    (at, job) => jobs.fitFlow(at, job),
  );
  const { explained, scale } = fit;
  return { model: path, explained, scale, evaluations: cost.gradients + cost.energies };
}

/** Random starts and descent steps of a search for minima; those this far above (kT) are left out. */
const MOLECULE_SEARCH = { starts: 100, steps: 400, range: 10 };

/**
 * Starts of chains, (chains, N·n): minimised random configurations, again from the first if few. Those
 * of a molecule are minima from random torsions about the given geometry (a cloud of atoms relaxes to
 * knots), each as often as its harmonic weight says: few chains cross every barrier.
 */
export function chainStarts(
  system: System,
  chains: number,
  seed: number,
  geometry?: Float64Array | null,
): Float64Array {
  const starts = geometry && system instanceof Molecule
    ? weightedMinima(system, geometry, chains, { seed, ...MOLECULE_SEARCH })
    : minimisedStarts(system, chains, 400, seed).map(({ positions }) => positions);
  if (starts.length === 0) {
    throw new InputError(
      `chains.chains: none of ${chains} random configurations of ${system.name} could be minimised`,
    );
  }
  const size = system.particles * system.dimension;
  const out = new Float64Array(chains * size);
  for (let c = 0; c < chains; c++) out.set(starts[c % starts.length], c * size);
  return out;
}

/** `count` minima of a molecule about a geometry, (N, 3) each, in proportion to Laplace's weights. */
function weightedMinima(
  molecule: Molecule,
  geometry: Float64Array,
  count: number,
  options: MinimaOptions,
): Float64Array[] {
  const { forceField } = molecule.forces;
  // Internal coordinates know neither two atoms nor linear groups.
  if (molecule.particles < 3) return [relaxed(molecule, geometry)];
  const coordinates = new ZMatrix(forceField, geometry);
  if (linearAngles(forceField, coordinates).length > 0) return [relaxed(molecule, geometry)];
  const start = new Float64Array(coordinates.size);
  coordinates.fromCartesian(geometry, start);
  const energy = new InternalEnergy(molecule, coordinates);
  const soft = softTorsions(forceField, coordinates, geometry);
  const conformers = new Conformers(forceField, geometry);
  const minima = findMinima(energy, start, soft, { ...options, conformers });
  if (minima.length === 0) return [];
  const { logWeights, means } = laplaceModel(energy, minima);
  const n = coordinates.size;
  return Array.from(systematicResample(logWeights, count, options.seed), (k) => {
    const x = new Float64Array(geometry.length);
    coordinates.toCartesian(means.slice(k * n, (k + 1) * n), x);
    return x;
  });
}

/** The minimum of U that a geometry leads to. */
function relaxed(molecule: Molecule, geometry: Float64Array): Float64Array {
  const x = geometry.slice();
  descend((x, gradient) => molecule.energyAndGradient(x, gradient), x, MOLECULE_SEARCH.steps, 0.05);
  return x;
}
