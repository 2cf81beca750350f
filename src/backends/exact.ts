/**
 * The float64 parts that every backend shares, because the exactness of the weights rests on them:
 * prior draws with log q, target energies, and the assembly of W. They cost O(1) per trajectory,
 * not O(T), so they stay in plain TypeScript.
 */
import type { JulepModel } from "../julep/model.ts";
import { drawGaussianPrior, logGaussianPrior } from "../path/prior.ts";
import { InternalSampler } from "../path/internal_sampler.ts";
import type { PathModel } from "../path/model.ts";
import { drawMint, MintDensity } from "../mint/mixture.ts";
import { checkPath } from "../path/check.ts";
import { createSystem } from "../systems/create.ts";
import type { Molecule } from "../systems/molecule/molecule.ts";
import type { System } from "../systems/system.ts";
import { projectGauge } from "./reference/julep.ts";
import type { DrawJob, PriorDraw, Problem, TrajectoryResult } from "./backend.ts";

export class ExactParts {
  readonly system: System;
  readonly #mixture: MintDensity | null;
  readonly julep: JulepModel | null;
  readonly #path: PathModel | null;
  /** Prior and path of a molecule in internal coordinates, where the problem has them. */
  readonly internal: InternalSampler | null;

  /** @param last what an executor was prepared with before: what did not change is taken over */
  constructor(problem: Problem, last?: ExactParts | null) {
    this.system = createSystem(problem.system);
    this.#mixture = problem.mint ? new MintDensity(problem.mint) : null;
    this.julep = problem.julep;
    this.#path = problem.path ?? null;
    this.internal = problem.internal
      ? new InternalSampler(this.system as Molecule, problem.internal, last?.internal)
      : null;
    if (this.#path) checkPath(this.#path, problem.system);
  }

  /** The prior; throws when the problem has none. */
  get mixture(): MintDensity {
    if (!this.#mixture) throw new Error("this job needs a Mint prior: prepare(problem) had none");
    return this.#mixture;
  }

  /** The transport; throws when the problem has none. */
  get transport(): JulepModel {
    if (!this.julep) throw new Error("this job needs a Julep model: prepare(problem) had none");
    return this.julep;
  }

  /** The path; throws when the problem has none. */
  get path(): PathModel {
    if (!this.#path) throw new Error("this job needs a path: prepare(problem) had none");
    return this.#path;
  }

  /** Coordinates of one sample, N·n. */
  get size(): number {
    return this.system.particles * this.system.dimension;
  }

  /** Draws of the prior (float32 values, so that log q and the trajectory see the same point). */
  drawPrior(job: DrawJob): PriorDraw {
    const positions = drawMint(this.mixture, job.seed, job.first, job.count, job.stream);
    return {
      positions,
      logDensity: this.priorLogDensity(positions, job.count),
      energies: this.targetEnergies(positions, job.count),
    };
  }

  priorLogDensity(positions: Float64Array | Float32Array, count: number): Float64Array {
    return this.#each(positions, count, (x) => this.mixture.logDensity(x));
  }

  /** Draws of the path's prior with the centre of mass at the origin (float32 values), and log q. */
  drawPathPrior(
    { seed, first, count }: { seed: number; first: number; count: number },
  ): { positions: Float64Array; logDensity: Float64Array } {
    const { particles, dimension } = this.system;
    const { levels } = this.path;
    let positions: Float64Array;
    if (levels.kind === "mixture") {
      positions = drawMint(this.mixture, seed, first, count);
      for (let s = 0; s < count; s++) {
        const x = positions.subarray(s * this.size, (s + 1) * this.size);
        projectGauge(x, particles, "centre_of_mass");
        for (let a = 0; a < x.length; a++) x[a] = Math.fround(x[a]);
      }
    } else {
      const { priorVariance } = levels;
      positions = drawGaussianPrior(seed, first, count, particles, dimension, priorVariance);
    }
    return { positions, logDensity: this.pathPriorLogDensity(positions, count) };
  }

  /** log q of the path's prior. */
  pathPriorLogDensity(positions: Float64Array | Float32Array, count: number): Float64Array {
    const { levels } = this.path;
    if (levels.kind === "mixture") return this.priorLogDensity(positions, count);
    const { particles, dimension } = this.system;
    const out = new Float64Array(count);
    for (let s = 0; s < count; s++) {
      const at = s * this.size;
      out[s] = logGaussianPrior(positions, at, particles, dimension, levels.priorVariance);
    }
    return out;
  }

  targetEnergies(positions: Float64Array | Float32Array, count: number): Float64Array {
    return this.#each(positions, count, (x) => this.system.energy(x));
  }

  /** W = −U(x_T) − log q(x_0) + Σ log k⁻ − log k⁺; anything that is not a number weighs nothing. */
  pathWeights(
    prior: Float32Array,
    target: Float32Array,
    logKernelRatio: Float64Array,
    count: number,
    logDensity?: Float64Array,
  ): Pick<TrajectoryResult, "energies" | "logWeights"> {
    const energies = this.targetEnergies(target, count);
    const density = logDensity ?? this.priorLogDensity(prior, count);
    const logWeights = new Float64Array(count);
    for (let s = 0; s < count; s++) {
      const w = -energies[s] - density[s] + logKernelRatio[s];
      logWeights[s] = Number.isFinite(w) ? w : -Infinity;
    }
    return { energies, logWeights };
  }

  #each(
    positions: Float64Array | Float32Array,
    count: number,
    evaluate: (x: Float64Array) => number,
  ): Float64Array {
    const out = new Float64Array(count);
    const x = new Float64Array(this.size);
    for (let s = 0; s < count; s++) {
      for (let a = 0; a < this.size; a++) x[a] = positions[s * this.size + a];
      out[s] = evaluate(x);
    }
    return out;
  }
}
