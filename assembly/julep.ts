// Julep on blocks of four systems: whole trajectories, and the gradient of the log-variance loss
// along stored ones, in one call each.
//
//   forward   k⁺(x'|x) = N(x + D⁺, σ²),  D⁺ = (e^{+hA} − 1) x  + h ( b + c + F)   at (x,  t)
//   backward  k⁻(x|x') = N(x' + D⁻, σ²), D⁻ = (e^{−hA} − 1) x' + h (−b + c + F)   at (x', t')
//   h = εΔ, σ² = 2h, F = −∇U_t after clipping, log k⁻ − log k⁺ = ½ (|r⁺|² − |r⁻|²), r = residual/σ
//
// With a pair flow F of the step both kernels meet at F(x) in place of x, with D⁺ and D⁻ as they are at
// x and x', and log k⁻ gains log|∂F/∂x|.
//
// Residuals are formed from displacements, never from differences of positions, so float32 costs
// about 1e-5 per trajectory. Sums over steps are float64. A lane never depends on its neighbours.
// The float64 oracle is src/backends/reference/julep.ts.
import { accumulate, at, fma, fnma, LANES, VEC } from "./simd";
import { normals } from "./threefry";
import { mintPrior } from "./mint_prior";
import { saturate } from "./level_energy";
import { pairEnergies, softLennardJones } from "./pair_energies";
import { inversePairFlow, PairFlow, pairFlow } from "./pair_flow";
import { pairVelocity } from "./pair_velocity";
import { beginGradient, egnnBackward, egnnForward, egnnTapeBytes, endGradient } from "./egnn";
import {
  addExponentialAdjoint, addExponentialDisplacement, exponentialRate, exponentialScratchBytes,
} from "./matrix_exponential";

/** What the host writes, field by field, 4 bytes each (src/backends/wasm/julep.ts). */
@unmanaged
class JulepJob {
  particles: i32;
  dimension: i32;
  steps: i32;
  /** Particle that stays at the origin; −1: the centre of mass does. */
  gauge: i32;
  /** Per-particle clip of the force at each state, f32[T + 1]; 0: none. */
  clips: usize;
  pairKind: i32;
  pairParameters: usize;
  prior: usize;
  priorScratch: usize;
  /** 0: no network. */
  network: usize;
  networkScratch: usize;
  /** 1: b acts; 2: c acts. */
  heads: i32;
  /** Channels of A; 0: none. */
  channels: i32;
  /** 1: s is learned (signed); 0: s = 1 (the paper's H Hᵀ). */
  signed: i32;
  /** f32[T + 1], f32[T], f32[T]. */
  times: usize;
  durations: usize;
  stepSizes: usize;
  key0: u32;
  key1: u32;
  /** 1: forward; 0: backward. */
  forward: i32;
  scratch: usize;
  /** One tape, for the gradient of states whose tapes were not kept, and a tape's size. */
  tape: usize;
  tapeBytes: i32;
  /** f32[4] a state (ε, s, a, k of softLennardJones; not read at t = 0); 0: U_t of the system. */
  levels: usize;
  /** Tables of pair_velocity.ts, one a state; 0: no pair drift. */
  velocities: usize;
  cells: i32;
  inverseWidth: f32;
  /** A PairFlow (pair_flow.ts) with a table a step; 0: none. */
  flow: usize;
  /** κ of the target, and 1/R² of PairPathLevels.saturation; 0: none. */
  confinement: f32;
  inverseSaturation: f32;
}

/** Bytes of JulepJob.scratch. */
export function julepScratchBytes(N: i32, n: i32, C: i32): i32 {
  const state = N * n + netSize(N, n, C);
  return (2 * (state + 2 * N * n) + 4 * N * n + netSize(N, n, C)) * 16 +
    exponentialScratchBytes(n, C);
}

/**
 * Bytes of the tape of one state of a block: the network's outputs after projection and its
 * activations. A multiple of 64.
 */
export function julepTapeBytes(N: i32, n: i32, L: i32, H: i32, C: i32): i32 {
  return <i32>tapeHead(N, n, C) + egnnTapeBytes(N, L, H);
}

// @ts-ignore: decorator
@inline function tapeHead(N: i32, n: i32, C: i32): usize {
  return (<usize>(netSize(N, n, C)) * 16 + 63) & ~63;
}

// b (N·n), c (N·n), h (N·C), s (C).
// @ts-ignore: decorator
@inline function netSize(N: i32, n: i32, C: i32): i32 { return 2 * N * n + N * C + C; }

/** Gauge projection of N rows of `width`: zero at the anchor, or zero mean. Symmetric. */
function project(v: usize, N: i32, width: i32, gauge: i32): void {
  if (gauge >= 0) {
    const row = at(v, gauge * width);
    for (let a = 0; a < width; a++) v128.store(at(row, a), f32x4.splat(0));
    return;
  }
  const inverse = f32x4.splat(<f32>(1.0 / <f64>N));
  for (let a = 0; a < width; a++) {
    let sum = f32x4.splat(0);
    for (let i = 0; i < N; i++) sum = f32x4.add(sum, v128.load(at(v, i * width + a)));
    sum = f32x4.mul(sum, inverse);
    for (let i = 0; i < N; i++) {
      const p = at(v, i * width + a);
      v128.store(p, f32x4.sub(v128.load(p), sum));
    }
  }
}

/**
 * Moves x by the flow of a step, or back; returns log|∂F/∂x| of the way there. The anchor goes back to
 * the origin: F keeps the centre of mass, so its determinant is the same in either gauge.
 */
function moveAlong(job: JulepJob, step: i32, x: usize, inverse: bool): v128 {
  const flow = changetype<PairFlow>(job.flow);
  const logDeterminant = inverse ? inversePairFlow(flow, step, x) : pairFlow(flow, step, x);
  if (job.gauge < 0) return logDeterminant;
  const n = job.dimension;
  const anchor = at(x, job.gauge * n);
  for (let a = 0; a < n; a++) {
    const origin = v128.load(at(anchor, a));
    for (let i = 0; i < job.particles; i++) {
      const p = at(x, i * n + a);
      v128.store(p, f32x4.sub(v128.load(p), origin));
    }
  }
  return logDeterminant;
}

/** F = −∇U_t (clipped, gauge-projected) and U_t at state j of the time grid. */
function forceAt(job: JulepJob, x: usize, j: i32, force: usize, gradient: usize): v128 {
  const N = job.particles;
  const n = job.dimension;
  const size = N * n;
  const t = load<f32>(job.times + (<usize>j << 2));
  let u = f32x4.splat(0);
  for (let a = 0; a < size; a++) v128.store(at(force, a), u);
  const ownLevels = job.levels != 0;
  if (ownLevels && j > 0) {
    const row = job.levels + (<usize>j << 4);
    u = softLennardJones(row, x, gradient, N);
    if (job.inverseSaturation != 0) {
      const excess = load<f32>(row, 12) - job.confinement;
      u = f32x4.add(u, saturate(excess, job.inverseSaturation, x, gradient, N));
    }
    for (let a = 0; a < size; a++) v128.store(at(force, a), f32x4.neg(v128.load(at(gradient, a))));
  } else if (j < job.steps) {
    const weight = f32x4.splat(1 - t);
    const logDensity = mintPrior(job.prior, x, gradient, job.priorScratch);
    u = fnma(weight, logDensity, u);
    for (let a = 0; a < size; a++) {
      v128.store(at(force, a), f32x4.mul(weight, v128.load(at(gradient, a))));
    }
  }
  if (j > 0 && !ownLevels) {
    const weight = f32x4.splat(t);
    const energy = pairEnergies(job.pairKind, job.pairParameters, x, gradient, N, n, t);
    u = fma(weight, energy, u);
    for (let a = 0; a < size; a++) {
      const p = at(force, a);
      v128.store(p, fnma(weight, v128.load(at(gradient, a)), v128.load(p)));
    }
  }
  const clip = load<f32>(job.clips + (<usize>j << 2));
  if (clip > 0) {
    const inverse = f32x4.splat(1 / (clip * clip));
    const one = f32x4.splat(1);
    for (let i = 0; i < N; i++) {
      let norm = f32x4.splat(0);
      for (let a = 0; a < n; a++) {
        const f = v128.load(at(force, i * n + a));
        norm = fma(f, f, norm);
      }
      const factor = f32x4.div(one, f32x4.sqrt(fma(norm, inverse, one)));
      for (let a = 0; a < n; a++) {
        const p = at(force, i * n + a);
        v128.store(p, f32x4.mul(v128.load(p), factor));
      }
    }
  }
  project(force, N, n, job.gauge);
  return u;
}

/**
 * Network outputs after gauge projection, to `net`; heads that are off are zero. With a tape they and
 * the activations are kept there.
 */
function networkAt(job: JulepJob, x: usize, t: v128, net: usize, tape: usize): void {
  const N = job.particles;
  const n = job.dimension;
  const C = job.channels;
  const size = N * n;
  const b = net;
  const c = at(net, size);
  const h = at(net, 2 * size);
  const s = at(net, 2 * size + N * C);
  const head = tapeHead(N, n, C);
  egnnForward(job.network, x, t, net, job.networkScratch, tape ? tape + head : 0);
  const zero = f32x4.splat(0);
  if (job.heads & 1) project(b, N, n, job.gauge);
  else for (let a = 0; a < size; a++) v128.store(at(b, a), zero);
  if (job.heads & 2) project(c, N, n, job.gauge);
  else for (let a = 0; a < size; a++) v128.store(at(c, a), zero);
  if (C > 0) {
    project(h, N, C, job.gauge);
    if (!job.signed) for (let k = 0; k < C; k++) v128.store(at(s, k), f32x4.splat(1));
  }
  if (tape) memory.copy(tape, net, <usize>netSize(N, n, C) << 4);
}

/**
 * Where the tape of state j of a block lies, 0 outside its window. `tapes`: those of the block, from
 * the first state of its window on.
 */
// @ts-ignore: decorator
@inline function tapeAt(tapes: usize, window: usize, j: i32, bytes: usize): usize {
  if (!tapes) return 0;
  const first = load<i32>(window);
  if (j < first || j > first + load<i32>(window, 4)) return 0;
  return tapes + <usize>(j - first) * bytes;
}

/** The fitted pair drift at state j. */
// @ts-ignore: decorator
@inline function velocityAt(job: JulepJob, x: usize, j: i32, velocity: usize): void {
  if (!job.velocities) return;
  const table = job.velocities + ((<usize>j * <usize>(job.cells + 1)) << 2);
  pairVelocity(x, job.particles, job.dimension, table, job.cells, job.inverseWidth, velocity);
}

/** D⁺ (sign = +1) or D⁻ (sign = −1) of a step of duration dt and step size eps. */
function displacement(
  job: JulepJob, x: usize, force: usize, velocity: usize, net: usize, sign: f32, dt: f32, eps: f32,
  out: usize, exponentialScratch: usize,
): void {
  const N = job.particles;
  const n = job.dimension;
  const C = job.channels;
  const size = N * n;
  const h = f32x4.splat(eps * dt);
  for (let a = 0; a < size; a++) {
    v128.store(at(out, a), f32x4.mul(h, v128.load(at(force, a))));
  }
  if (job.velocities) {
    const time = f32x4.splat(sign * dt);
    for (let a = 0; a < size; a++) {
      const p = at(out, a);
      v128.store(p, fma(time, v128.load(at(velocity, a)), v128.load(p)));
    }
  }
  if (!job.network) return;
  const odd = f32x4.splat(sign * eps * dt);
  for (let a = 0; a < size; a++) {
    const p = at(out, a);
    const sum = fma(odd, v128.load(at(net, a)), v128.load(p));
    v128.store(p, fma(h, v128.load(at(net, size + a)), sum));
  }
  if (C > 0) {
    addExponentialDisplacement(
      at(net, 2 * size), at(net, 2 * size + N * C), x, odd, out, N, n, C,
      exponentialScratch,
    );
  }
}

/**
 * Runs `blocks` blocks of trajectories. x: (blocks, N, n) f32x4, start states in the gauge, replaced
 * by the end states. logRatio: f64 (blocks·4), Σ log k⁻ − log k⁺. increments: f64 (T, blocks·4) or 0,
 * U_{t_i}(x_i) − U_{t_{i+1}}(x_{i+1}) + log k⁻ − log k⁺. states, forces: (T + 1, blocks, N, n) f32x4
 * or 0. Sample `first + 4·block + lane` draws its own random numbers. tapes: the network's tapes of
 * the states in each block's window (i32 (blocks, 2), see julepGradient), one after another, or 0.
 */
export function julepTrajectories(
  jobAddress: usize, blocks: i32, first: u32, x: usize, logRatio: usize, increments: usize,
  states: usize, forces: usize, windows: usize, tapes: usize,
): void {
  const job = changetype<JulepJob>(jobAddress);
  const N = job.particles;
  const n = job.dimension;
  const C = job.channels;
  const T = job.steps;
  const size = N * n;
  const bytes = <usize>size << 4;
  const perStep = Math.ceil(<f64>size / 2) as u32;
  let here = job.scratch;
  let hereForce = at(here, size);
  let hereVelocity = at(hereForce, size);
  let hereNet = at(hereVelocity, size);
  let there = at(hereNet, netSize(N, n, C));
  let thereForce = at(there, size);
  let thereVelocity = at(thereForce, size);
  let thereNet = at(thereVelocity, size);
  const noise = at(thereNet, netSize(N, n, C));
  const move = at(noise, size);
  const back = at(move, size);
  const gradient = at(back, size);
  const exponentialScratch = at(gradient, size + netSize(N, n, C));
  const half = f32x4.splat(0.5);
  const sign: f32 = job.forward ? 1 : -1;
  const tapeBytes = <usize>job.tapeBytes;

  for (let block = 0; block < blocks; block++) {
    const sample = i32x4.add(
      i32x4.splat(first + block * LANES), i32x4(0, 1, 2, 3),
    );
    const ratio = logRatio + (<usize>block << 5);
    memory.fill(ratio, 0, 32);
    memory.copy(here, x + block * bytes, bytes);
    const start = job.forward ? 0 : T;
    let u = forceAt(job, here, start, hereForce, gradient);
    velocityAt(job, here, start, hereVelocity);
    if (job.network) {
      networkAt(
        job, here, f32x4.splat(load<f32>(job.times + (<usize>start << 2))), hereNet,
        tapeAt(tapes, windows, start, tapeBytes),
      );
    }
    if (states) {
      memory.copy(states + (<usize>(start * blocks + block)) * bytes, here, bytes);
      memory.copy(forces + (<usize>(start * blocks + block)) * bytes, hereForce, bytes);
    }
    for (let k = 0; k < T; k++) {
      const step = job.forward ? k : T - 1 - k;
      const next = job.forward ? step + 1 : step;
      const dt = load<f32>(job.durations + (<usize>step << 2));
      const eps = load<f32>(job.stepSizes + (<usize>step << 2));
      const sigma = f32x4.splat(<f32>Math.sqrt(2.0 * <f64>eps * <f64>dt));
      const inverseSigma = f32x4.splat(<f32>(1.0 / Math.sqrt(2.0 * <f64>eps * <f64>dt)));
      normals(noise, size, job.key0, job.key1, sample, <u32>step * perStep);
      project(noise, N, n, job.gauge);
      displacement(
        job, here, hereForce, hereVelocity, hereNet, sign, dt, eps, move, exponentialScratch,
      );
      let logDeterminant = f32x4.splat(0);
      memory.copy(there, here, bytes);
      if (job.flow && job.forward) logDeterminant = moveAlong(job, step, there, false);
      let drawn = f32x4.splat(0);
      for (let a = 0; a < size; a++) {
        const z = v128.load(at(noise, a));
        drawn = fma(z, z, drawn);
        const d = fma(sigma, z, v128.load(at(move, a)));
        v128.store(at(move, a), d);
        v128.store(at(there, a), f32x4.add(v128.load(at(there, a)), d));
      }
      if (job.flow && !job.forward) logDeterminant = moveAlong(job, step, there, true);
      const uNext = forceAt(job, there, next, thereForce, gradient);
      velocityAt(job, there, next, thereVelocity);
      if (job.network) {
        networkAt(
          job, there, f32x4.splat(load<f32>(job.times + (<usize>next << 2))), thereNet,
          tapeAt(tapes, windows, next, tapeBytes),
        );
      }
      displacement(
        job, there, thereForce, thereVelocity, thereNet, -sign, dt, eps, back, exponentialScratch,
      );
      let returned = f32x4.splat(0);
      for (let a = 0; a < size; a++) {
        const r = f32x4.mul(
          f32x4.add(v128.load(at(move, a)), v128.load(at(back, a))), inverseSigma,
        );
        returned = fma(r, r, returned);
      }
      // Forward: ½(|z|² − |r⁻|²); backward, z belongs to k⁻ and r to k⁺.
      let increment = f32x4.mul(half, f32x4.sub(drawn, returned));
      if (!job.forward) increment = f32x4.neg(increment);
      increment = f32x4.add(increment, logDeterminant);
      accumulate(ratio, increment);
      if (increments) {
        const row = increments + ((<usize>(step * blocks + block)) << 5);
        const du = job.forward ? f32x4.sub(u, uNext) : f32x4.sub(uNext, u);
        memory.fill(row, 0, 32);
        accumulate(row, f32x4.add(du, increment));
      }
      u = uNext;
      let swap = here; here = there; there = swap;
      swap = hereForce; hereForce = thereForce; thereForce = swap;
      swap = hereVelocity; hereVelocity = thereVelocity; thereVelocity = swap;
      swap = hereNet; hereNet = thereNet; thereNet = swap;
      if (states) {
        memory.copy(states + (<usize>(next * blocks + block)) * bytes, here, bytes);
        memory.copy(forces + (<usize>(next * blocks + block)) * bytes, hereForce, bytes);
      }
    }
    memory.copy(x + block * bytes, here, bytes);
    if (tapes) {
      tapes += <usize>(load<i32>(windows, 4) + 1) * tapeBytes;
      windows += 8;
    }
  }
}

// @ts-ignore: decorator
@inline function lanesSum(v: v128): f64 {
  return <f64>f32x4.extract_lane(v, 0) + <f64>f32x4.extract_lane(v, 1) +
    <f64>f32x4.extract_lane(v, 2) + <f64>f32x4.extract_lane(v, 3);
}

/**
 * One kernel's part of the gradient at a state: residual of the step, adjoints of the network's
 * outputs (+= κ·∂increment/∂output), and stepκ·∂increment/∂log ε (returned). direction +1: k⁺ leaving; −1: k⁻ arriving.
 * `from` (after the flow) and `to` bound the step in time; x is the state the kernel is evaluated at.
 */
function kernelAdjoint(
  job: JulepJob, x: usize, force: usize, velocity: usize, net: usize, from: usize, to: usize,
  direction: f32, dt: f32, eps: f32, kappa: v128, stepKappa: v128, adjoint: usize, work: usize, after: usize,
  exponentialScratch: usize,
): f64 {
  const N = job.particles;
  const n = job.dimension;
  const C = job.channels;
  const size = N * n;
  displacement(job, x, force, velocity, net, direction, dt, eps, work, exponentialScratch);
  const sign = f32x4.splat(direction);
  const hasNetwork = job.network != 0;
  const hasMatrix = hasNetwork && C > 0;
  const h = eps * dt;
  // increment = |R⁺|²/(4h) − |R⁻|²/(4h): ∂/∂D = ∓R/(2h); ∂D/∂log ε = h (F ± b + c) ± h A e^{±hA} x.
  const slope = f32x4.splat(<f32>(-<f64>direction / (2.0 * <f64>h)));
  const networkSlope = f32x4.mul(kappa, slope);
  const odd = f32x4.splat(direction * h);
  const even = f32x4.splat(h);
  const time = f32x4.splat(direction * dt);
  let square = f32x4.splat(0);
  let along = f32x4.splat(0);
  for (let a = 0; a < size; a++) {
    const d = f32x4.sub(v128.load(at(to, a)), v128.load(at(from, a)));
    const moved = v128.load(at(work, a));
    const r = f32x4.sub(f32x4.mul(sign, d), moved);
    square = fma(r, r, square);
    v128.store(at(work, a), r);
    let linear = f32x4.mul(even, v128.load(at(force, a)));
    if (hasNetwork) {
      linear = fma(odd, v128.load(at(net, a)), linear);
      linear = fma(even, v128.load(at(net, size + a)), linear);
      const g = f32x4.mul(networkSlope, r);
      const b = at(adjoint, a);
      const c = at(adjoint, size + a);
      v128.store(b, fma(odd, g, v128.load(b)));
      v128.store(c, fma(even, g, v128.load(c)));
      // e^{±hA} x, for the last term of ∂D/∂log ε.
      if (hasMatrix) {
        let turned = f32x4.sub(moved, linear);
        if (job.velocities) turned = fnma(time, v128.load(at(velocity, a)), turned);
        v128.store(at(after, a), f32x4.add(v128.load(at(x, a)), turned));
      }
    }
    along = fma(r, linear, along);
  }
  if (hasMatrix) {
    const channels = at(net, 2 * size);
    const strengths = at(net, 2 * size + N * C);
    along = f32x4.add(along, exponentialRate(channels, strengths, after, odd, work, N, n, C));
    for (let a = 0; a < size; a++) {
      v128.store(at(work, a), f32x4.mul(networkSlope, v128.load(at(work, a))));
    }
    addExponentialAdjoint(
      channels, strengths, x, odd, work, at(adjoint, 2 * size), at(adjoint, 2 * size + N * C),
      N, n, C, exponentialScratch,
    );
  }
  const half = f32x4.splat(0.5);
  return lanesSum(f32x4.mul(f32x4.mul(stepKappa, slope), fma(half, square, along)));
}

/**
 * Adds ∂loss/∂parameters to `gradient` (f32, layout of egnn.ts) and ∂loss/∂log ε of each step to
 * `stepGradient` (f64[T]). coefficients and stepCoefficients: f32 (T, blocks·4), ∂loss/∂increment for
 * the network and for ε; windows: i32 (blocks, 2), first step and number of steps. tapes: those that
 * julepTrajectories kept for the same windows, or 0: the network is evaluated again.
 */
export function julepGradient(
  jobAddress: usize, blocks: i32, states: usize, forces: usize, coefficients: usize,
  stepCoefficients: usize, windows: usize, gradient: usize, stepGradient: usize, tapes: usize,
): void {
  const job = changetype<JulepJob>(jobAddress);
  const N = job.particles;
  const n = job.dimension;
  const C = job.channels;
  const size = N * n;
  const bytes = <usize>size << 4;
  const outputs = netSize(N, n, C);
  const tapeBytes = <usize>job.tapeBytes;
  const adjoint = at(job.scratch, outputs);
  const work = at(adjoint, outputs);
  const after = at(work, size);
  const velocity = at(after, size);
  // Where k⁺ of a step starts and k⁻ arrives: the step that leaves the state at hand, and the one before.
  let departed = at(velocity, size);
  let left = at(departed, size);
  const exponentialScratch = at(left, size);
  const zero = f32x4.splat(0);
  if (job.network) beginGradient(job.network, job.networkScratch);
  for (let block = 0; block < blocks; block++) {
    const first = load<i32>(windows + (<usize>block << 3));
    const last = first + load<i32>(windows + (<usize>block << 3), 4);
    for (let j = first; j <= last; j++) {
      const x = states + (<usize>(j * blocks + block)) * bytes;
      const force = forces + (<usize>(j * blocks + block)) * bytes;
      const t = f32x4.splat(load<f32>(job.times + (<usize>j << 2)));
      velocityAt(job, x, j, velocity);
      let from = x;
      let before = states + (<usize>((j - 1) * blocks + block)) * bytes;
      if (job.flow) {
        const swap = left; left = departed; departed = swap;
        before = left;
        if (j < last) {
          from = departed;
          memory.copy(from, x, bytes);
          moveAlong(job, j, from, false);
        }
      }
      let net = job.scratch;
      let tape = job.tape;
      if (job.network) {
        if (tapes) {
          tape = tapes;
          net = tape;
          tapes += tapeBytes;
        } else {
          networkAt(job, x, t, net, tape);
        }
        for (let a = 0; a < outputs; a++) v128.store(at(adjoint, a), zero);
      }
      if (j < last) {
        const next = states + (<usize>((j + 1) * blocks + block)) * bytes;
        const sum = kernelAdjoint(
          job, x, force, velocity, net, from, next, 1, load<f32>(job.durations + (<usize>j << 2)),
          load<f32>(job.stepSizes + (<usize>j << 2)),
          v128.load(coefficients + ((<usize>(j * blocks + block)) << 4)),
          v128.load(stepCoefficients + ((<usize>(j * blocks + block)) << 4)), adjoint, work,
          after, exponentialScratch,
        );
        const p = stepGradient + (<usize>j << 3);
        store<f64>(p, load<f64>(p) + sum);
      }
      if (j > first) {
        const step = j - 1;
        const sum = kernelAdjoint(
          job, x, force, velocity, net, before, x, -1, load<f32>(job.durations + (<usize>step << 2)),
          load<f32>(job.stepSizes + (<usize>step << 2)),
          v128.load(coefficients + ((<usize>(step * blocks + block)) << 4)),
          v128.load(stepCoefficients + ((<usize>(step * blocks + block)) << 4)), adjoint, work,
          after, exponentialScratch,
        );
        const p = stepGradient + (<usize>step << 3);
        store<f64>(p, load<f64>(p) + sum);
      }
      if (!job.network) continue;
      if (job.heads & 1) project(adjoint, N, n, job.gauge);
      else for (let a = 0; a < size; a++) v128.store(at(adjoint, a), zero);
      if (job.heads & 2) project(at(adjoint, size), N, n, job.gauge);
      else for (let a = 0; a < size; a++) v128.store(at(adjoint, size + a), zero);
      if (C > 0) {
        project(at(adjoint, 2 * size), N, C, job.gauge);
        if (!job.signed) {
          for (let k = 0; k < C; k++) v128.store(at(adjoint, 2 * size + N * C + k), zero);
        }
      }
      egnnBackward(
        job.network, x, adjoint, gradient, job.networkScratch, tape + tapeHead(N, n, C),
      );
    }
  }
  if (job.network) endGradient(job.network, gradient, job.networkScratch);
}
