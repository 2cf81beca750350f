/**
 * Annealed paths in float64, one sample at a time: the oracle of assembly/path.ts. Kernels and
 * weights are those of docs/method.md section 4.
 */
import { Stream } from "../../math/random.ts";
import { flowTable } from "../../path/flow.ts";
import { keptVelocity, levelCount, type PathModel } from "../../path/model.ts";
import type { System } from "../../systems/system.ts";
import type { IslandMoves } from "../path_jobs.ts";
import type { Evaluation, PathEngine, Population, PopulationOptions } from "../population.ts";
import { hmcTransition, LevelNoise } from "./hmc.ts";
import { projectGauge } from "./julep.ts";
import { clipForce, levelEnergy, type LevelProblem } from "./level_energy.ts";
import { inversePairFlow, pairFlow } from "./pair_flow.ts";

/** What a path needs. */
export interface PathProblem {
  readonly system: System;
  readonly path: PathModel;
  /** Prior draws first … first + count − 1 with the centre of mass at the origin, and log q. */
  readonly drawPrior: (
    options: PopulationOptions,
  ) => { positions: Float64Array; logDensity: Float64Array };
  /** log q, and ∂log q/∂x to `gradient` ("mixture" paths). */
  readonly priorLogDensity: (positions: Float64Array, gradient: Float64Array) => number;
}

const levelProblem = (problem: PathProblem): LevelProblem => ({
  ...problem,
  levels: problem.path.levels,
});

class ReferencePopulation implements Population {
  readonly count: number;
  accepted = 0;
  readonly #problem: PathProblem;
  readonly #first: number;
  readonly #noise: LevelNoise;
  readonly #moveNoise: LevelNoise;
  #x: Float64Array[];
  #v: Float64Array[];
  /** underdamped: the half kick −½ΔF still to come. */
  #kick: Float64Array[];
  readonly #accumulated: Float64Array;
  readonly #energies: Float64Array;
  #level = -1;

  constructor(
    problem: PathProblem,
    options: PopulationOptions,
    stream: Stream,
    positions: Float64Array,
    accumulated: Float64Array,
  ) {
    const { particles, dimension } = problem.system;
    const size = particles * dimension;
    this.#problem = problem;
    this.count = options.count;
    this.#first = options.first;
    this.#noise = new LevelNoise(options.seed, stream, particles, size);
    this.#moveNoise = new LevelNoise(options.seed, Stream.islandMove, particles, size);
    this.#accumulated = accumulated;
    this.#energies = new Float64Array(this.count);
    const each = (make: (s: number) => Float64Array) =>
      Array.from({ length: this.count }, (_, s) => make(s));
    this.#x = each((s) => {
      const x = positions.slice(s * size, (s + 1) * size);
      projectGauge(x, particles, "centre_of_mass");
      return x;
    });
    this.#kick = each(() => new Float64Array(size));
    // The velocities' numbers stand behind those of the last level.
    this.#v = each((s) => {
      const v = new Float64Array(size);
      this.#noise.normals(v, this.#first + s, levelCount(problem.path));
      return v;
    });
  }

  #energy(level: number, x: Float64Array, gradient: Float64Array): number {
    return levelEnergy(levelProblem(this.#problem), level, x, gradient);
  }

  advance(level: number): void {
    const { path, system } = this.#problem;
    this.complete();
    this.#level = level;
    this.accepted = 0;
    const dt = path.stepSize[level];
    for (let s = 0; s < this.count; s++) {
      const x = this.#x[s];
      if (path.flow) this.#accumulated[s] += pairFlow(path.flow, level, x, system.dimension);
      if (path.kernel === "adjusted") {
        this.#energies[s] = this.#adjusted(s, level, 1);
        continue;
      }
      const v = this.#v[s];
      this.#refresh(s, level);
      for (let a = 0; a < x.length; a++) x[a] += 0.5 * dt * v[a];
      this.#halfKick(s, level);
      this.#accumulated[s] += addKick(v, this.#kick[s]);
    }
  }

  complete(): void {
    const { path } = this.#problem;
    const level = this.#level;
    this.#level = -1;
    if (path.kernel === "adjusted" || level < 0) return;
    const dt = path.stepSize[level];
    for (let s = 0; s < this.count; s++) {
      this.#accumulated[s] += addKick(this.#v[s], this.#kick[s]);
      for (let a = 0; a < this.#x[s].length; a++) this.#x[s][a] += 0.5 * dt * this.#v[s][a];
    }
  }

  retreat(level: number): void {
    const { path, system } = this.#problem;
    this.accepted = 0;
    const dt = path.stepSize[level];
    for (let s = 0; s < this.count; s++) {
      const x = this.#x[s];
      if (path.kernel === "adjusted") this.#adjusted(s, level, -1);
      else {
        const v = this.#v[s];
        const kick = this.#kick[s];
        for (let a = 0; a < x.length; a++) x[a] -= 0.5 * dt * v[a];
        this.#energy(level, x, kick);
        clipForce(kick, system.particles, path.clip[level]);
        for (let a = 0; a < x.length; a++) kick[a] *= dt;
        // The kinetic energy gained here is what the forward kick loses.
        this.#accumulated[s] -= addKick(v, kick);
        for (let a = 0; a < x.length; a++) x[a] -= 0.5 * dt * v[a];
        this.#refresh(s, level);
      }
      if (path.flow) {
        this.#accumulated[s] += inversePairFlow(path.flow, level, x, system.dimension);
      }
    }
  }

  /** v ← ηv + √(1 − η²) ξ along one axis; see PathModel.friction. Reversible for N(0, 1). */
  #refresh(s: number, level: number): void {
    const { path, system } = this.#problem;
    const { particles: N, dimension: n } = system;
    const v = this.#v[s];
    const eta = keptVelocity(path, level, n);
    if (eta === 1) return;
    const axis = Math.floor(level / (path.refreshInterval ?? 1)) % n;
    const rest = Math.sqrt(1 - eta * eta);
    const noise = new Float64Array(N);
    this.#noise.centred(noise, this.#first + s, level);
    for (let i = 0; i < N; i++) {
      const a = i * n + axis;
      v[a] = eta * v[a] + rest * noise[i];
    }
  }

  /** HMC for U_k; W + U_k gains U_k(after) − U_k(before), in the forward sense. Returns U_k. */
  #adjusted(s: number, level: number, direction: 1 | -1): number {
    const { path, system } = this.#problem;
    const v = this.#v[s];
    this.#noise.centred(v, this.#first + s, level);
    const { before, after, acceptance } = hmcTransition(
      (y, gradient) => this.#energy(level, y, gradient),
      this.#x[s],
      v,
      path.stepSize[level],
      path.leapfrogs,
      this.#noise.uniforms(this.#first + s, level)[0],
      system.particles,
      path.clip[level],
    );
    this.accepted += acceptance;
    this.#accumulated[s] += direction * (after - before);
    return after;
  }

  logWeights(): Float64Array {
    return this.#accumulated.map((w, s) => w - this.#energies[s]);
  }

  resample(ancestors: Int32Array): void {
    const copies = (rows: Float64Array[]) => Array.from(ancestors, (a) => rows[a].slice());
    this.#x = copies(this.#x);
    this.#v = copies(this.#v);
    this.#kick = copies(this.#kick);
    this.#energies.set(Float64Array.from(ancestors, (a) => this.#energies[a]));
    this.#accumulated.set(this.#energies);
  }

  move({ transitions, leapfrogs, stepFactor }: IslandMoves): void {
    const { path, system } = this.#problem;
    const level = this.#level;
    for (let s = 0; s < this.count; s++) {
      const x = this.#x[s];
      const sample = this.#first + s;
      for (let move = 0; move < transitions; move++) {
        const v = new Float64Array(x.length);
        const number = level * transitions + move;
        this.#moveNoise.centred(v, sample, number);
        const { before, after } = hmcTransition(
          (y, gradient) => this.#energy(level, y, gradient),
          x,
          v,
          stepFactor * path.stepSize[level],
          leapfrogs,
          this.#moveNoise.uniforms(sample, number)[0],
          system.particles,
          0,
        );
        this.#accumulated[s] += after - before;
        this.#energies[s] = after;
      }
      if (path.kernel === "underdamped") this.#halfKick(s, level);
    }
  }

  /** U_k and the half kick at x. */
  #halfKick(s: number, level: number): void {
    const { path, system } = this.#problem;
    const kick = this.#kick[s];
    this.#energies[s] = this.#energy(level, this.#x[s], kick);
    clipForce(kick, system.particles, path.clip[level]);
    for (let a = 0; a < kick.length; a++) kick[a] *= -0.5 * path.stepSize[level];
  }

  accumulated(): Float64Array {
    return this.#accumulated.slice();
  }

  positions(): Float32Array {
    const size = this.#x[0]?.length ?? 0;
    const out = new Float32Array(this.count * size);
    this.#x.forEach((x, s) => out.set(x, s * size));
    return out;
  }

  dispose(): void {}
}

/** v += kick; returns the kinetic energy lost. */
function addKick(v: Float64Array, kick: Float64Array): number {
  let lost = 0;
  for (let a = 0; a < v.length; a++) {
    lost -= kick[a] * (v[a] + 0.5 * kick[a]);
    v[a] += kick[a];
  }
  return lost;
}

/** The engine of the reference backend. */
export class ReferencePathEngine implements PathEngine {
  readonly #problem: PathProblem;

  constructor(problem: PathProblem) {
    this.#problem = problem;
  }

  fromPrior(options: PopulationOptions): Population {
    const { positions, logDensity } = this.#problem.drawPrior(options);
    const accumulated = logDensity.map((l) => -l);
    const problem = this.#problem;
    return new ReferencePopulation(
      problem,
      options,
      Stream.pathForward,
      positions,
      accumulated,
    );
  }

  fromTarget(options: PopulationOptions, positions: Float64Array): Population {
    const accumulated = new Float64Array(options.count);
    const problem = this.#problem;
    return new ReferencePopulation(
      problem,
      options,
      Stream.pathBackward,
      positions,
      accumulated,
    );
  }

  evaluate(level: number, positions: Float32Array, count: number): Evaluation {
    const size = positions.length / count;
    const energies = new Float64Array(count);
    const gradients = new Float64Array(positions.length);
    for (let s = 0; s < count; s++) {
      const x = Float64Array.from(positions.subarray(s * size, (s + 1) * size));
      const gradient = gradients.subarray(s * size, (s + 1) * size);
      energies[s] = levelEnergy(levelProblem(this.#problem), level, x, gradient);
    }
    return { energies, gradients };
  }

  evaluateAfterFlow(
    level: number,
    table: Float64Array,
    positions: Float32Array,
    count: number,
  ): Float64Array {
    const size = positions.length / count;
    const gradient = new Float64Array(size);
    const { dimension } = this.#problem.system;
    const flow = this.#problem.path.flow!;
    const trial = { ...flow, tables: flow.tables.slice() };
    flowTable(trial, level).set(table);
    return Float64Array.from({ length: count }, (_, s) => {
      const x = Float64Array.from(positions.subarray(s * size, (s + 1) * size));
      const logDeterminant = pairFlow(trial, level, x, dimension);
      return levelEnergy(levelProblem(this.#problem), level, x, gradient) - logDeterminant;
    });
  }

  setFlow(level: number, table: Float64Array): void {
    flowTable(this.#problem.path.flow!, level).set(table);
  }

  dispose(): void {}
}
