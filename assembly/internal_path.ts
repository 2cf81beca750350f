// Adjusted transitions of molecules in internal coordinates, blocks of four (lane = system): what
// src/path/internal_population.ts says, with states in float32. The oracle is
// src/backends/reference/internal_path.ts, the host src/backends/wasm/internal_path.ts.
import { fma, fnma, LANES } from "./simd";
import { log4 } from "./math";
import { normals, words } from "./threefry";
import { moleculeEnergies } from "./molecule_energies";
import {
  internalChain, internalDomain, internalLogJacobian, internalToCartesian,
} from "./internal_coordinates";
import { InternalPrior, internalLogDensity } from "./internal_prior";

/** What the host writes, field by field, 4 bytes each. */
@unmanaged
export class InternalJob {
  atoms: i32;
  /** 3N − 6, and the same padded to a multiple of 4: the f32x4 of one state. */
  size: i32;
  padded: i32;
  /** Address of the packed molecule, with its scratch. */
  molecule: usize;
  rows: usize;
  /** Byte offset of the root atom. */
  root: usize;
  /** Panels of L and of Lᵀ, four outputs side by side (see panelProduct). */
  lower: usize;
  upper: usize;
  prior: usize;
  leapfrogs: i32;
  stepSize: f32;
  jitter: f32;
  key0: u32;
  key1: u32;
  /** States of blocks: z and LᵀV′ (padded f32x4), V, log q and 1 or 0 for accepted (f32x4). */
  z: usize;
  gradient: usize;
  values: usize;
  logDensities: usize;
  accepted: usize;
  /** Proposal, its gradient, velocity, ∂V/∂z (padded f32x4); positions, forces (3N), branches. */
  scratch: usize;
}

// 0 one half, 1 one, 2 2^-24, 3 two.
const CONSTANTS = memory.data<f32>([0.5, 1, 5.9604644775390625e-8, 2], 16);
const WORDS = memory.data(2 * 16, 16);
const DENSITIES = memory.data(16, 16);
const GREATEST: f32 = 3e38;

// @ts-ignore: decorator
@inline function constant(k: usize): v128 { return v128.load_splat<f32>(CONSTANTS + (k << 2)); }

// @ts-ignore: decorator
@inline function uniformOf(word: v128): v128 {
  const integer = f32x4.convert_i32x4_u(i32x4.shr_u(word, 8));
  return f32x4.mul(f32x4.add(integer, constant(0)), constant(2));
}

/** Four outputs Σ_k panel_k,o v_k over `count` inputs, to out. A panel has four numbers an input. */
// @ts-ignore: decorator
@inline function panelProduct(panel: usize, count: i32, v: usize, out: usize): void {
  let a = f32x4.splat(0), b = a, c = a, d = a;
  for (const end = panel + (<usize>count << 4); panel < end; panel += 16, v += 16) {
    const x = v128.load(v);
    a = fma(v128.load_splat<f32>(panel), x, a);
    b = fma(v128.load_splat<f32>(panel, 4), x, b);
    c = fma(v128.load_splat<f32>(panel, 8), x, c);
    d = fma(v128.load_splat<f32>(panel, 12), x, d);
  }
  v128.store(out, a);
  v128.store(out, b, 16);
  v128.store(out, c, 32);
  v128.store(out, d, 48);
}

/** out ← L v. */
function timesLower(job: InternalJob, v: usize, out: usize): void {
  let panel = job.lower;
  for (let i = 0; i < job.padded; i += 4) {
    panelProduct(panel, i + 4, v, out + (<usize>i << 4));
    panel += <usize>(i + 4) << 4;
  }
}

/** out ← Lᵀ g. */
function timesUpper(job: InternalJob, g: usize, out: usize): void {
  let panel = job.upper;
  const n = job.padded;
  for (let i = 0; i < n; i += 4) {
    const at = <usize>i << 4;
    panelProduct(panel, n - i, g + at, out + at);
    panel += <usize>(n - i) << 4;
  }
}

/** V of z, anything not finite outside the domain; LᵀV′ overwrites `gradient`. */
function energyAt(job: InternalJob, z: usize, gradient: usize): v128 {
  const N = job.atoms;
  const block = <usize>job.padded << 4;
  const byZ = job.scratch + 3 * block;
  const x = byZ + block;
  const byX = x + <usize>N * 48;
  const branches = byX + <usize>N * 48;
  const inside = internalDomain(N, z);
  internalToCartesian(job.rows, job.root, N, z, x);
  const energy = moleculeEnergies(job.molecule, x, byX, 1);
  internalChain(job.rows, N, x, byX, byZ, branches);
  const value = f32x4.sub(energy, internalLogJacobian(N, z, byZ));
  timesUpper(job, byZ, gradient);
  return v128.bitselect(value, f32x4.splat(Infinity), inside);
}

/** log q of the lanes that are alive, −∞ of the others. */
function densityAt(job: InternalJob, z: usize, alive: v128): v128 {
  const prior = changetype<InternalPrior>(job.prior);
  const lanes = i32x4.bitmask(alive);
  for (let lane = 0; lane < LANES; lane++) {
    const at = <usize>lane << 2;
    const value: f32 = (lanes >> lane) & 1 ? internalLogDensity(prior, z + at) : -Infinity;
    store<f32>(DENSITIES + at, value);
  }
  return v128.load(DENSITIES);
}

// @ts-ignore: decorator
@inline function isFinite4(v: v128): v128 {
  return f32x4.lt(f32x4.abs(v), f32x4.splat(GREATEST));
}

/** Gradients, V and log q of `blocks` blocks at their places. */
export function internalStart(address: usize, blocks: i32): void {
  const job = changetype<InternalJob>(address);
  const size = <usize>job.padded << 4;
  for (let b: usize = 0; b < <usize>blocks; b++) {
    const z = job.z + b * size;
    const value = energyAt(job, z, job.gradient + b * size);
    v128.store(job.values + (b << 4), value);
    v128.store(job.logDensities + (b << 4), densityAt(job, z, isFinite4(value)));
  }
}

/** v −= τ g over n f32x4; Σ v²/2. */
// @ts-ignore: decorator
@inline function kick(v: usize, g: usize, size: usize, tau: v128): void {
  for (let a: usize = 0; a < size; a += 16) {
    v128.store(v + a, fnma(tau, v128.load(g + a), v128.load(v + a)));
  }
}

// @ts-ignore: decorator
@inline function kinetic(v: usize, size: usize): v128 {
  let sum = f32x4.splat(0);
  for (let a: usize = 0; a < size; a += 16) {
    const p = v128.load(v + a);
    sum = fma(p, p, sum);
  }
  return f32x4.mul(sum, constant(0));
}

function transition(job: InternalJob, b: usize, first: u32, step: u32, t: f32): void {
  const n = job.size;
  const size = <usize>job.padded << 4;
  const z = job.z + b * size;
  const state = job.gradient + b * size;
  const y = job.scratch;
  const gradient = y + size;
  const v = gradient + size;
  const moved = v + size; // L v; ∂V/∂z within energyAt
  const sample = i32x4.add(i32x4.splat(first + <i32>b * LANES), i32x4(0, 1, 2, 3));
  const pairs = <u32>((n + 1) >> 1);
  const counter = step * (pairs + 1);
  normals(v, n, job.key0, job.key1, sample, counter);
  const zero = f32x4.splat(0);
  for (let a = <usize>n << 4; a < size; a += 16) v128.store(v + a, zero);
  words(WORDS, 1, job.key0, job.key1, sample, counter + pairs);
  const u = uniformOf(v128.load(WORDS, 16));
  const swing = f32x4.sub(f32x4.mul(constant(3), u), constant(1));
  const h = f32x4.mul(
    f32x4.splat(job.stepSize), fma(f32x4.splat(job.jitter), swing, constant(1)),
  );
  const half = f32x4.mul(h, constant(0));
  const before = kinetic(v, size);
  let alive = i32x4.splat(-1);
  let value = zero;
  let force = state, from = z;
  for (let leap = 0; leap < job.leapfrogs; leap++) {
    kick(v, force, size, half);
    timesLower(job, v, moved);
    for (let a: usize = 0; a < size; a += 16) {
      v128.store(y + a, fma(h, v128.load(moved + a), v128.load(from + a)));
    }
    value = energyAt(job, y, gradient);
    alive = v128.and(alive, isFinite4(value));
    kick(v, gradient, size, half);
    force = gradient;
    from = y;
  }
  const at = b << 4;
  const oldValue = v128.load(job.values + at);
  const oldDensity = v128.load(job.logDensities + at);
  const density = densityAt(job, y, alive);
  let gain = f32x4.sub(before, kinetic(v, size));
  gain = fnma(f32x4.splat(t), f32x4.sub(value, oldValue), gain);
  if (t < 1) gain = fma(f32x4.splat(1 - t), f32x4.sub(density, oldDensity), gain);
  // A proposal that is not a number is refused: comparisons with NaN are false.
  const accept = v128.and(alive, f32x4.lt(log4(uniformOf(v128.load(WORDS))), gain));
  for (let a: usize = 0; a < size; a += 16) {
    v128.store(z + a, v128.bitselect(v128.load(y + a), v128.load(z + a), accept));
    v128.store(state + a, v128.bitselect(v128.load(gradient + a), v128.load(state + a), accept));
  }
  v128.store(job.values + at, v128.bitselect(value, oldValue, accept));
  v128.store(job.logDensities + at, v128.bitselect(density, oldDensity, accept));
  v128.store(job.accepted + at, v128.and(accept, constant(1)));
}

/** Transition number `step` of `blocks` blocks for U_t; samples are numbered from `first`. */
export function internalTransitions(
  address: usize, blocks: i32, first: u32, step: u32, t: f32,
): void {
  const job = changetype<InternalJob>(address);
  for (let b: usize = 0; b < <usize>blocks; b++) transition(job, b, first, step, t);
}

/** internalToCartesian and the chain rule of `blocks` blocks, for the tests: ∂V/∂z to gradient. */
export function internalEnergies(
  address: usize, z: usize, gradient: usize, values: usize, blocks: i32,
): void {
  const job = changetype<InternalJob>(address);
  const size = <usize>job.padded << 4;
  const byZ = job.scratch + 3 * size;
  for (let b: usize = 0; b < <usize>blocks; b++) {
    v128.store(values + (b << 4), energyAt(job, z + b * size, job.scratch));
    memory.copy(gradient + b * size, byZ, size);
  }
}
