// The comparators' kernels (src/julep/diffusion.ts) on blocks of four systems: whole paths, and the
// gradient of the log-variance loss along stored ones.
//
//   k⁺(x'|x) = N(a⁺x + h u(x, t), σ⁺²),  k⁻(x|x') = N(a⁻x', σ⁻²),  u = b + γ (1 + g) S
//
// a± − 1, σ± and h of every step come from the host, in float32; the constants log σ⁺/σ⁻ and the ends
// of W are the host's, in float64. As in julep.ts residuals are formed from displacements. The centre
// of mass stays at the origin. The float64 oracle is src/backends/reference/controlled_diffusion.ts.
import { accumulate, at, fma, fnma, LANES } from "./simd";
import { normals } from "./threefry";
import { pairEnergies } from "./pair_energies";
import { egnnForward } from "./egnn";
import { beginGradient, egnnBackward, endGradient, gatherPositions } from "./egnn_backward";

/** What the host writes, field by field, 4 bytes each (src/backends/wasm/controlled_diffusion.ts). */
@unmanaged
class DiffusionJob {
  particles: i32;
  dimension: i32;
  steps: i32;
  /** Per-particle clip of S; 0: none. */
  clip: f32;
  pairKind: i32;
  pairParameters: usize;
  /** 0: no network. */
  network: usize;
  networkScratch: usize;
  /** What the network's backward pass needs of one evaluation. */
  tape: usize;
  /** 1: the control contains S, and the network has the one channel g. */
  targetForce: i32;
  /** f32[T + 1]. */
  times: usize;
  /** f32 (6, T): a⁺ − 1, a⁻ − 1, σ⁺, σ⁻, h, γ. */
  schedule: usize;
  key0: u32;
  key1: u32;
  /** 1: forward; 0: backward. */
  forward: i32;
  scratch: usize;
  /** c of S = −∇U + c x. */
  attraction: f32;
}

// b (N·n), c (N·n), h (N), s (1); the last two only with the force.
// @ts-ignore: decorator
@inline function netSize(N: i32, n: i32): i32 { return 2 * N * n + N + 1; }

/** Bytes of DiffusionJob.scratch. */
export function diffusionScratchBytes(N: i32, n: i32): i32 { return (7 * N * n + netSize(N, n)) * 16; }

// @ts-ignore: decorator
@inline function scheduled(job: DiffusionJob, row: i32, step: i32): f32 {
  return load<f32>(job.schedule + (<usize>(row * job.steps + step) << 2));
}

// @ts-ignore: decorator
@inline function timeAt(job: DiffusionJob, step: i32): f32 {
  return load<f32>(job.times + (<usize>step << 2));
}

/** Takes the mean of the N rows away. */
function centre(v: usize, N: i32, n: i32): void {
  const inverse = f32x4.splat(<f32>(1.0 / <f64>N));
  for (let a = 0; a < n; a++) {
    let sum = f32x4.splat(0);
    for (let i = 0; i < N; i++) sum = f32x4.add(sum, v128.load(at(v, i * n + a)));
    sum = f32x4.mul(sum, inverse);
    for (let i = 0; i < N; i++) {
      const p = at(v, i * n + a);
      v128.store(p, f32x4.sub(v128.load(p), sum));
    }
  }
}

/** −∇U softened, clipped per particle (not where `clip` is 0), without its mean, and attraction·x. */
function targetForce(
  job: DiffusionJob, x: usize, t: f32, clip: f32, attraction: f32, force: usize,
): void {
  const N = job.particles;
  const n = job.dimension;
  pairEnergies(job.pairKind, job.pairParameters, x, force, N, n, t);
  const inverse = f32x4.splat(clip > 0 ? 1 / (clip * clip) : 0);
  const one = f32x4.splat(1);
  const minus = f32x4.splat(-1);
  for (let i = 0; i < N; i++) {
    let norm = f32x4.splat(0);
    for (let a = 0; a < n; a++) {
      const f = v128.load(at(force, i * n + a));
      norm = fma(f, f, norm);
    }
    const factor = f32x4.div(minus, f32x4.sqrt(fma(norm, inverse, one)));
    for (let a = 0; a < n; a++) {
      const p = at(force, i * n + a);
      v128.store(p, f32x4.mul(v128.load(p), factor));
    }
  }
  centre(force, N, n);
  if (attraction == 0) return;
  const c = f32x4.splat(attraction);
  for (let a = 0; a < N * n; a++) {
    const p = at(force, a);
    v128.store(p, fma(c, v128.load(at(x, a)), v128.load(p)));
  }
}

/** move += h u at a state whose S is `force`; `tape` as in egnnForward. */
function addControl(
  job: DiffusionJob, x: usize, force: usize, step: i32, net: usize, tape: usize, move: usize,
): void {
  const N = job.particles;
  const n = job.dimension;
  const size = N * n;
  const t = timeAt(job, step);
  const h = f32x4.splat(scheduled(job, 4, step));
  let gain = f32x4.splat(scheduled(job, 5, step));
  if (job.network) {
    egnnForward(job.network, x, f32x4.splat(t), net, job.networkScratch, tape);
    centre(net, N, n);
    if (job.targetForce) gain = fma(gain, v128.load(at(net, 2 * size + N)), gain);
  }
  if (job.targetForce) {
    const factor = f32x4.mul(h, gain);
    for (let a = 0; a < size; a++) {
      const p = at(move, a);
      v128.store(p, fma(factor, v128.load(at(force, a)), v128.load(p)));
    }
  }
  if (job.network) {
    for (let a = 0; a < size; a++) {
      const p = at(move, a);
      v128.store(p, fma(h, v128.load(at(net, a)), v128.load(p)));
    }
  }
}

/**
 * Runs `blocks` blocks of paths. x: (blocks, N, n) f32x4, start states, replaced by the end states.
 * logRatio: f64 (blocks·4), Σ ½(|r⁺|² − |r⁻|²), without the constants. increments: f64 (T, blocks·4)
 * or 0, the terms of that sum. states, forces: (T + 1, blocks, N, n) f32x4 or 0; the last forces are
 * −∇U of the target, not clipped.
 */
export function diffusionPaths(
  jobAddress: usize, blocks: i32, first: u32, x: usize, logRatio: usize, increments: usize,
  states: usize, forces: usize,
): void {
  const job = changetype<DiffusionJob>(jobAddress);
  const N = job.particles;
  const n = job.dimension;
  const T = job.steps;
  const size = N * n;
  const bytes = <usize>size << 4;
  const perStep = Math.ceil(<f64>size / 2) as u32;
  let here = job.scratch;
  let there = at(here, size);
  const force = at(there, size);
  const noise = at(force, size);
  const move = at(noise, size);
  const net = at(move, size);
  const half = f32x4.splat(0.5);
  for (let block = 0; block < blocks; block++) {
    const sample = i32x4.add(i32x4.splat(first + block * LANES), i32x4(0, 1, 2, 3));
    const ratio = logRatio + (<usize>block << 5);
    memory.fill(ratio, 0, 32);
    memory.copy(here, x + block * bytes, bytes);
    const start = job.forward ? 0 : T;
    if (states) memory.copy(states + (<usize>(start * blocks + block)) * bytes, here, bytes);
    for (let k = 0; k < T; k++) {
      const step = job.forward ? k : T - 1 - k;
      const pullUp = f32x4.splat(scheduled(job, 0, step));
      const pullDown = f32x4.splat(scheduled(job, 1, step));
      const sigma = f32x4.splat(scheduled(job, job.forward ? 2 : 3, step));
      const other = f32x4.splat(1 / scheduled(job, job.forward ? 3 : 2, step));
      const pull = job.forward ? pullUp : pullDown;
      normals(noise, size, job.key0, job.key1, sample, <u32>step * perStep);
      centre(noise, N, n);
      for (let a = 0; a < size; a++) {
        v128.store(
          at(move, a),
          fma(pull, v128.load(at(here, a)), f32x4.mul(sigma, v128.load(at(noise, a)))),
        );
      }
      let drawn = f32x4.splat(0);
      let returned = f32x4.splat(0);
      if (job.forward) {
        if (job.targetForce) targetForce(job, here, timeAt(job, step), job.clip, job.attraction, force);
        addControl(job, here, force, step, net, 0, move);
      }
      for (let a = 0; a < size; a++) {
        v128.store(at(there, a), f32x4.add(v128.load(at(here, a)), v128.load(at(move, a))));
      }
      if (!job.forward) {
        if (job.targetForce) {
          targetForce(job, there, timeAt(job, step), job.clip, job.attraction, force);
        }
        for (let a = 0; a < size; a++) {
          const p = at(move, a);
          v128.store(p, fma(pullUp, v128.load(at(there, a)), v128.load(p)));
        }
        addControl(job, there, force, step, net, 0, move);
      } else {
        for (let a = 0; a < size; a++) {
          const p = at(move, a);
          v128.store(p, fma(pullDown, v128.load(at(there, a)), v128.load(p)));
        }
      }
      for (let a = 0; a < size; a++) {
        const z = v128.load(at(noise, a));
        const r = f32x4.mul(v128.load(at(move, a)), other);
        drawn = fma(z, z, drawn);
        returned = fma(r, r, returned);
      }
      let increment = f32x4.mul(half, f32x4.sub(drawn, returned));
      if (!job.forward) increment = f32x4.neg(increment);
      accumulate(ratio, increment);
      if (increments) {
        const row = increments + ((<usize>(step * blocks + block)) << 5);
        memory.fill(row, 0, 32);
        accumulate(row, increment);
      }
      if (states) {
        const next = job.forward ? step + 1 : step;
        memory.copy(states + (<usize>(next * blocks + block)) * bytes, there, bytes);
        const to = forces + (<usize>(step * blocks + block)) * bytes;
        if (job.targetForce) memory.copy(to, force, bytes);
        else memory.fill(to, 0, bytes);
      }
      const swap = here; here = there; there = swap;
    }
    memory.copy(x + block * bytes, here, bytes);
    if (states) {
      const end = <usize>(T * blocks + block) * bytes;
      targetForce(job, states + end, 1, 0, 0, forces + end);
    }
  }
}

/** out ← the adjoint of u, −κ (h/σ⁺²)(x_{i+1} − a⁺x_i − h u), of step i between two states. */
function detachedAdjoint(
  job: DiffusionJob, x: usize, next: usize, force: usize, step: i32, kappa: v128, net: usize,
  out: usize,
): void {
  const size = job.particles * job.dimension;
  const pull = f32x4.splat(scheduled(job, 0, step));
  const sigma = <f64>scheduled(job, 2, step);
  const factor = f32x4.mul(
    kappa, f32x4.splat(<f32>(<f64>scheduled(job, 4, step) / (sigma * sigma))),
  );
  for (let a = 0; a < size; a++) {
    v128.store(at(out, a), f32x4.mul(pull, v128.load(at(x, a))));
  }
  addControl(job, x, force, step, net, job.tape, out);
  for (let a = 0; a < size; a++) {
    const p = at(out, a);
    const d = f32x4.sub(v128.load(at(next, a)), v128.load(at(x, a)));
    v128.store(p, f32x4.mul(factor, f32x4.sub(v128.load(p), d)));
  }
}

/** The adjoint of step's u into the network's outputs, `net`. */
function outputAdjoints(
  job: DiffusionJob, force: usize, step: i32, adjoint: usize, net: usize,
): void {
  const N = job.particles;
  const n = job.dimension;
  const size = N * n;
  memory.fill(net, 0, <usize>netSize(N, n) << 4);
  memory.copy(net, adjoint, <usize>size << 4);
  centre(net, N, n);
  if (!job.targetForce) return;
  let sum = f32x4.splat(0);
  for (let a = 0; a < size; a++) {
    sum = fma(v128.load(at(force, a)), v128.load(at(adjoint, a)), sum);
  }
  v128.store(at(net, 2 * size + N), f32x4.mul(f32x4.splat(scheduled(job, 5, step)), sum));
}

/**
 * Adds Σ coefficients·∂increment/∂parameters to `gradient` (f32, layout of egnn.ts), the states held
 * fixed. coefficients: f32 (T, blocks·4); windows: i32 (blocks, 2), first step and number of steps.
 */
export function diffusionGradient(
  jobAddress: usize, blocks: i32, states: usize, forces: usize, coefficients: usize, windows: usize,
  gradient: usize,
): void {
  const job = changetype<DiffusionJob>(jobAddress);
  const size = job.particles * job.dimension;
  const bytes = <usize>size << 4;
  const adjoint = job.scratch;
  const net = at(adjoint, size);
  beginGradient(job.network, job.networkScratch);
  for (let block = 0; block < blocks; block++) {
    const first = load<i32>(windows + (<usize>block << 3));
    const last = first + load<i32>(windows + (<usize>block << 3), 4);
    for (let step = first; step < last; step++) {
      const here = <usize>(step * blocks + block) * bytes;
      const next = <usize>((step + 1) * blocks + block) * bytes;
      const kappa = v128.load(coefficients + ((<usize>(step * blocks + block)) << 4));
      detachedAdjoint(
        job, states + here, states + next, forces + here, step, kappa, net, adjoint,
      );
      outputAdjoints(job, forces + here, step, adjoint, net);
      egnnBackward(job.network, states + here, net, gradient, job.networkScratch, job.tape);
    }
  }
  endGradient(job.network, gradient, job.networkScratch);
}

/**
 * Adds Σ_s coefficients_s·∂W_s/∂parameters to `gradient`, the noise held fixed and the states
 * following the parameters: the adjoint method from the end of every path. coefficients: f32
 * (blocks·4).
 */
export function diffusionPathGradient(
  jobAddress: usize, blocks: i32, states: usize, forces: usize, coefficients: usize,
  gradient: usize,
): void {
  const job = changetype<DiffusionJob>(jobAddress);
  const N = job.particles;
  const n = job.dimension;
  const size = N * n;
  const bytes = <usize>size << 4;
  const lambda = job.scratch;
  const adjoint = at(lambda, size);
  const before = at(adjoint, size);
  const unused = at(before, size);
  const net = at(unused, size);
  beginGradient(job.network, job.networkScratch);
  gatherPositions(job.networkScratch, before);
  for (let block = 0; block < blocks; block++) {
    const kappa = v128.load(coefficients + (<usize>block << 4));
    const end = forces + <usize>(job.steps * blocks + block) * bytes;
    for (let a = 0; a < size; a++) {
      v128.store(at(lambda, a), f32x4.mul(kappa, v128.load(at(end, a))));
    }
    for (let step = job.steps - 1; step >= 0; step--) {
      const x = states + <usize>(step * blocks + block) * bytes;
      const next = states + <usize>((step + 1) * blocks + block) * bytes;
      const force = forces + <usize>(step * blocks + block) * bytes;
      const up = f32x4.splat(scheduled(job, 0, step));
      const down = f32x4.splat(scheduled(job, 1, step));
      const sigma = <f64>scheduled(job, 3, step);
      const scale = f32x4.mul(kappa, f32x4.splat(<f32>(1.0 / (sigma * sigma))));
      const h = f32x4.splat(scheduled(job, 4, step));
      for (let a = 0; a < size; a++) {
        const there = v128.load(at(next, a));
        const residual = fnma(down, there, f32x4.sub(v128.load(at(x, a)), there));
        const pull = f32x4.mul(scale, residual);
        const l = f32x4.add(v128.load(at(lambda, a)), fma(down, pull, pull));
        v128.store(at(lambda, a), f32x4.sub(fma(up, l, l), pull));
        v128.store(at(adjoint, a), f32x4.mul(h, l));
      }
      // The network at the state, for its tape.
      memory.fill(unused, 0, bytes);
      addControl(job, x, force, step, net, job.tape, unused);
      outputAdjoints(job, force, step, adjoint, net);
      memory.fill(before, 0, bytes);
      egnnBackward(job.network, x, net, gradient, job.networkScratch, job.tape);
      centre(before, N, n);
      for (let a = 0; a < size; a++) {
        const p = at(lambda, a);
        v128.store(p, f32x4.add(v128.load(p), v128.load(at(before, a))));
      }
    }
  }
  endGradient(job.network, gradient, job.networkScratch);
}
