// Annealed paths on populations of blocks of four systems (lane = system), level by level: the pair
// flow, then an underdamped (OABA) or an adjusted (HMC) transition, with what W + U gains in float64
// (docs/method.md section 4). The float64 oracle is src/backends/reference/path.ts.
import { accumulate, fma, LANES } from "./simd";
import { normals } from "./threefry";
import { countersPerLevel, hmcScratch, hmcTransition, RESULTS } from "./hmc";
import { centre, clipForce, levelEnergy, Levels, rowOf } from "./level_energy";
import { inversePairFlow, PairFlow, pairFlow, pairFlowWith } from "./pair_flow";

/** What the host writes, field by field, 4 bytes each (src/backends/wasm/path.ts). */
@unmanaged
class PathJob {
  levels: usize;
  /** 0: no flow. */
  flow: usize;
  /** Leapfrogs of an adjusted transition; 0: underdamped. */
  leapfrogs: i32;
  key0: u32;
  key1: u32;
  /** The population: blocks, number of its first sample. */
  blocks: i32;
  first: u32;
  /** (blocks, N, n) f32x4 each; velocities and half kicks are the underdamped kernel's. */
  x: usize;
  v: usize;
  kick: usize;
  /** f64[4·blocks]: W + U. */
  accumulated: usize;
  /** f32[4·blocks]: U_k where the level's weight is taken. */
  energies: usize;
  /** f32[4·blocks]: acceptance probabilities of the last level. */
  acceptance: usize;
  scratch: usize;
  /** m of PathModel.refreshInterval. */
  refreshInterval: i32;
}

/** Bytes of PathJob.scratch. */
export function pathScratchBytes(N: i32, n: i32): i32 { return hmcScratch(N * n) + N * n * 16; }

/** kick ← factor·kick, v ← v + kick; returns the kinetic energy lost, −Σ kick·(v + ½ kick). */
// @ts-ignore: decorator
@inline function addScaledKick(v: usize, kick: usize, size: usize, factor: f32): v128 {
  const half = f32x4.splat(0.5);
  const by = f32x4.splat(factor);
  let gained = f32x4.splat(0);
  for (let a: usize = 0; a < size; a += 16) {
    const d = f32x4.mul(by, v128.load(kick + a));
    v128.store(kick + a, d);
    const p = v128.load(v + a);
    gained = fma(d, fma(half, d, p), gained);
    v128.store(v + a, f32x4.add(p, d));
  }
  return f32x4.neg(gained);
}

/**
 * v ← ηv + √(1 − η²) ξ with ξ centred, along one axis (see PathModel.friction; η = 1: not at all), then
 * x ← x + dt v along all.
 */
function refresh(
  job: PathJob, levels: Levels, level: i32, sample: v128, v: usize, noise: usize, x: usize, dt: f32,
): void {
  const N = levels.particles;
  const n = levels.dimension;
  const row = rowOf(levels, level);
  const stride = <usize>n << 4;
  if (load<f32>(row, 24) == 0) {
    if (dt != 0) drift(x, v, <usize>N * stride, dt);
    return;
  }
  const eta = f32x4.splat(load<f32>(row, 20));
  const rest = f32x4.splat(load<f32>(row, 24));
  const counter = <u32>level * countersPerLevel(N * n);
  normals(noise, N, job.key0, job.key1, sample, counter);
  let mean = f32x4.splat(0);
  const end = noise + (<usize>N << 4);
  for (let i = noise; i < end; i += 16) mean = f32x4.add(mean, v128.load(i));
  mean = f32x4.mul(f32x4.splat(-load<f32>(row, 24) / <f32>N), mean);
  let at = v + (<usize>(level / job.refreshInterval % n) << 4);
  for (let i = noise; i < end; i += 16, at += stride) {
    v128.store(at, fma(eta, v128.load(at), fma(rest, v128.load(i), mean)));
  }
  if (dt != 0) drift(x, v, <usize>N * stride, dt);
}

// @ts-ignore: decorator
@inline function drift(x: usize, v: usize, size: usize, dt: f32): void {
  const step = f32x4.splat(dt);
  for (let a: usize = 0; a < size; a += 16) {
    v128.store(x + a, fma(step, v128.load(v + a), v128.load(x + a)));
  }
}

// @ts-ignore: decorator
@inline function scale(v: usize, size: usize, factor: f32): void {
  const by = f32x4.splat(factor);
  for (let a: usize = 0; a < size; a += 16) v128.store(v + a, f32x4.mul(by, v128.load(v + a)));
}

// @ts-ignore: decorator
@inline function sampleOf(job: PathJob, block: i32): v128 {
  return i32x4.add(i32x4.splat(job.first + block * LANES), i32x4(0, 1, 2, 3));
}

/** Velocities of all blocks: normals of the counters of `level`. */
export function pathVelocities(address: usize, level: i32): void {
  const job = changetype<PathJob>(address);
  const levels = changetype<Levels>(job.levels);
  const size = levels.particles * levels.dimension;
  let v = job.v;
  for (let block = 0; block < job.blocks; block++) {
    const counter = <u32>level * countersPerLevel(size);
    normals(v, size, job.key0, job.key1, sampleOf(job, block), counter);
    centre(v, levels.particles, levels.dimension);
    v += <usize>size << 4;
  }
}

/** Standard normals without a centre-of-mass part, times `factor`: draws of a pair path's prior. */
export function pathPrior(address: usize, key0: u32, key1: u32, factor: f32): void {
  const job = changetype<PathJob>(address);
  const levels = changetype<Levels>(job.levels);
  const size = levels.particles * levels.dimension;
  let x = job.x;
  for (let block = 0; block < job.blocks; block++) {
    normals(x, size, key0, key1, sampleOf(job, block), 0);
    centre(x, levels.particles, levels.dimension);
    scale(x, <usize>size << 4, factor);
    x += <usize>size << 4;
  }
}

function adjusted(job: PathJob, levels: Levels, level: i32, block: i32, x: usize): void {
  const size = levels.particles * levels.dimension;
  const dt = f32x4.splat(load<f32>(rowOf(levels, level), 16));
  hmcTransition(
    levels, level, x, dt, 0, job.leapfrogs, job.key0, job.key1, sampleOf(job, block),
    <u32>level * countersPerLevel(size), job.scratch,
  );
  v128.store(job.acceptance + (<usize>block << 4), v128.load(RESULTS, 32));
}

/** Flow and transition of `level`, as far as the point where its weight is taken. */
export function pathAdvance(address: usize, level: i32): void {
  const job = changetype<PathJob>(address);
  const levels = changetype<Levels>(job.levels);
  const N = levels.particles;
  const n = levels.dimension;
  const size = <usize>(N * n) << 4;
  const row = rowOf(levels, level);
  const dt = load<f32>(row, 16);
  const clip = load<f32>(row, 28);
  let x = job.x;
  let v = job.v;
  let kick = job.kick;
  for (let block = 0; block < job.blocks; block++) {
    const accumulated = job.accumulated + (<usize>block << 5);
    const energies = job.energies + (<usize>block << 4);
    if (job.flow) accumulate(accumulated, pairFlow(changetype<PairFlow>(job.flow), level, x));
    if (job.leapfrogs) {
      adjusted(job, levels, level, block, x);
      const after = v128.load(RESULTS, 16);
      accumulate(accumulated, f32x4.sub(after, v128.load(RESULTS)));
      v128.store(energies, after);
    } else {
      refresh(job, levels, level, sampleOf(job, block), v, job.scratch, x, 0.5 * dt);
      v128.store(energies, levelEnergy(levels, level, x, kick));
      clipForce(kick, N, n, clip);
      accumulate(accumulated, addScaledKick(v, kick, size, -0.5 * dt));
      v += size;
      kick += size;
    }
    x += size;
  }
}

/**
 * `transitions` HMC transitions of every sample for U_k at the point that pathAdvance stopped at; W
 * stays. The kick still to come is that of the new positions.
 */
export function pathMove(
  address: usize, level: i32, transitions: i32, leapfrogs: i32, stepFactor: f32, key0: u32, key1: u32,
): void {
  const job = changetype<PathJob>(address);
  const levels = changetype<Levels>(job.levels);
  const N = levels.particles;
  const n = levels.dimension;
  const size = <usize>(N * n) << 4;
  const row = rowOf(levels, level);
  const dt = load<f32>(row, 16);
  const step = f32x4.splat(stepFactor * dt);
  let at: usize = 0;
  for (let block = 0; block < job.blocks; block++) {
    const x = job.x + at;
    const accumulated = job.accumulated + (<usize>block << 5);
    const energies = job.energies + (<usize>block << 4);
    for (let move = 0; move < transitions; move++) {
      hmcTransition(
        levels, level, x, step, 0, leapfrogs, key0, key1, sampleOf(job, block),
        <u32>(level * transitions + move) * countersPerLevel(N * n), job.scratch,
      );
      const after = v128.load(RESULTS, 16);
      accumulate(accumulated, f32x4.sub(after, v128.load(RESULTS)));
      v128.store(energies, after);
    }
    if (!job.leapfrogs) {
      levelEnergy(levels, level, x, job.kick + at);
      clipForce(job.kick + at, N, n, load<f32>(row, 28));
      scale(job.kick + at, size, -0.5 * dt);
    }
    at += size;
  }
}

/** The second half of an underdamped transition's kick, and the drift after it. */
export function pathComplete(address: usize, level: i32): void {
  const job = changetype<PathJob>(address);
  if (job.leapfrogs) return;
  const levels = changetype<Levels>(job.levels);
  const size = <usize>(levels.particles * levels.dimension) << 4;
  const dt = load<f32>(rowOf(levels, level), 16);
  const half = f32x4.splat(0.5);
  const step = f32x4.splat(0.5 * dt);
  let v = job.v;
  let x = job.x;
  let kick = job.kick;
  for (let block = 0; block < job.blocks; block++) {
    let gained = f32x4.splat(0);
    for (const end = v + size; v < end; v += 16, x += 16, kick += 16) {
      const d = v128.load(kick);
      const p = v128.load(v);
      const moved = f32x4.add(p, d);
      gained = fma(d, fma(half, d, p), gained);
      v128.store(v, moved);
      v128.store(x, fma(step, moved, v128.load(x)));
    }
    accumulate(job.accumulated + (<usize>block << 5), f32x4.neg(gained));
  }
}

/** The reverse of the whole transition and flow of `level`; W + U gains as on the way there. */
export function pathRetreat(address: usize, level: i32): void {
  const job = changetype<PathJob>(address);
  const levels = changetype<Levels>(job.levels);
  const N = levels.particles;
  const n = levels.dimension;
  const size = <usize>(N * n) << 4;
  const row = rowOf(levels, level);
  const dt = load<f32>(row, 16);
  const clip = load<f32>(row, 28);
  let x = job.x;
  let v = job.v;
  let kick = job.kick;
  for (let block = 0; block < job.blocks; block++) {
    const accumulated = job.accumulated + (<usize>block << 5);
    if (job.leapfrogs) {
      adjusted(job, levels, level, block, x);
      accumulate(accumulated, f32x4.sub(v128.load(RESULTS), v128.load(RESULTS, 16)));
    } else {
      drift(x, v, size, -0.5 * dt);
      levelEnergy(levels, level, x, kick);
      clipForce(kick, N, n, clip);
      // The kinetic energy gained here is what the forward kick loses.
      accumulate(accumulated, f32x4.neg(addScaledKick(v, kick, size, dt)));
      drift(x, v, size, -0.5 * dt);
      refresh(job, levels, level, sampleOf(job, block), v, job.scratch, x, 0);
      v += size;
      kick += size;
    }
    if (job.flow) {
      accumulate(accumulated, inversePairFlow(changetype<PairFlow>(job.flow), level, x));
    }
    x += size;
  }
}

/** U_k(x′) − log|J| of the flow of `level` with another table; x is left alone. */
export function pathTryFlow(address: usize, level: i32, table: usize, out: usize): void {
  const job = changetype<PathJob>(address);
  const levels = changetype<Levels>(job.levels);
  const size = <usize>(levels.particles * levels.dimension) << 4;
  const moved = job.scratch;
  let x = job.x;
  for (let block = 0; block < job.blocks; block++) {
    memory.copy(moved, x, size);
    const logDeterminant = pairFlowWith(changetype<PairFlow>(job.flow), table, level, moved);
    const energy = levelEnergy(levels, level, moved, moved + size);
    v128.store(out, f32x4.sub(energy, logDeterminant));
    x += size;
    out += 16;
  }
}
