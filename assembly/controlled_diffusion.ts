// The comparators' kernels (src/julep/diffusion.ts) on blocks of four systems: whole paths, and the
// gradient of the log-variance loss along stored ones.
//
//   k⁺(x'|x) = N(a⁺x + h u(x, t), σ⁺²),  k⁻(x|x') = N(a⁻x', σ⁻²),  u = β b + 2 (1 + g) S
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
  /** Per-particle clip of ∇U in S; 0: none. */
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
  /** f32 (9, T): a⁺ − 1, a⁻ − 1, σ⁺, σ⁻, h, β, a, 1/v, η. */
  schedule: usize;
  key0: u32;
  key1: u32;
  /** 1: forward; 0: backward. */
  forward: i32;
  scratch: usize;
  /** c. */
  attraction: f32;
  /** Half the distance between the points of a derivative of S, length. */
  difference: f32;
  /** Per-particle clip of the adjoint of a state, in units of β; 0: none. */
  adjointClip: f32;
  /** Descent steps of S. */
  proximalSteps: i32;
}

// b (N·n), c (N·n), h (N), s (1); the last two only with the force.
// @ts-ignore: decorator
@inline function netSize(N: i32, n: i32): i32 { return 2 * N * n + N + 1; }

/** Bytes of DiffusionJob.scratch. */
export function diffusionScratchBytes(N: i32, n: i32): i32 { return (9 * N * n + netSize(N, n)) * 16; }

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

/** −∇U softened, clipped per particle (not where `clip` is 0), without its mean. */
function targetForce(job: DiffusionJob, x: usize, t: f32, clip: f32, force: usize): void {
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
}

/** S of a step's state: (a/v)(y − a x), y after the steps of descent. y: (N, n) f32x4 to work in. */
function guidance(job: DiffusionJob, x: usize, step: i32, y: usize, out: usize): void {
  const size = job.particles * job.dimension;
  const t = timeAt(job, step);
  const a = f32x4.splat(scheduled(job, 6, step));
  const precision = f32x4.splat(scheduled(job, 7, step));
  const eta = f32x4.splat(scheduled(job, 8, step));
  const c = f32x4.splat(job.attraction);
  for (let k = 0; k < size; k++) v128.store(at(y, k), f32x4.mul(a, v128.load(at(x, k))));
  for (let pass = 0; pass < job.proximalSteps; pass++) {
    targetForce(job, y, t, job.clip, out);
    for (let k = 0; k < size; k++) {
      const p = at(y, k);
      const here = v128.load(p);
      const moved = fnma(a, v128.load(at(x, k)), here);
      const slope = fnma(precision, moved, fma(c, here, v128.load(at(out, k))));
      v128.store(p, fma(eta, slope, here));
    }
  }
  const factor = f32x4.mul(a, precision);
  for (let k = 0; k < size; k++) {
    const moved = fnma(a, v128.load(at(x, k)), v128.load(at(y, k)));
    v128.store(at(out, k), f32x4.mul(factor, moved));
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
  let gain = f32x4.splat(2);
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
    const factor = f32x4.mul(h, f32x4.splat(scheduled(job, 5, step)));
    for (let a = 0; a < size; a++) {
      const p = at(move, a);
      v128.store(p, fma(factor, v128.load(at(net, a)), v128.load(p)));
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
  const work = at(move, size);
  const net = at(work, size);
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
        if (job.targetForce) guidance(job, here, step, work, force);
        addControl(job, here, force, step, net, 0, move);
      }
      for (let a = 0; a < size; a++) {
        v128.store(at(there, a), f32x4.add(v128.load(at(here, a)), v128.load(at(move, a))));
      }
      if (!job.forward) {
        if (job.targetForce) guidance(job, there, step, work, force);
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
      targetForce(job, states + end, 1, 0, forces + end);
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
  const scale = f32x4.splat(scheduled(job, 5, step));
  for (let a = 0; a < size; a++) {
    v128.store(at(net, a), f32x4.mul(scale, v128.load(at(adjoint, a))));
  }
  centre(net, N, n);
  if (!job.targetForce) return;
  let sum = f32x4.splat(0);
  for (let a = 0; a < size; a++) {
    sum = fma(v128.load(at(force, a)), v128.load(at(adjoint, a)), sum);
  }
  v128.store(at(net, 2 * size + N), f32x4.add(sum, sum));
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
 * out += (∂S/∂x) v at a step's state, a central difference. Lanes outside `alive` (all bits or none) get
 * nothing: their states are zero, where the gradient is no number. `space`: 3·N·n f32x4.
 */
function addGuidanceDerivative(
  job: DiffusionJob, x: usize, step: i32, v: usize, alive: v128, space: usize, out: usize,
): void {
  const size = job.particles * job.dimension;
  const changed = space;
  const shifted = at(changed, size);
  const work = at(shifted, size);
  let norm = f32x4.splat(1e-30);
  for (let a = 0; a < size; a++) norm = fma(v128.load(at(v, a)), v128.load(at(v, a)), norm);
  norm = f32x4.sqrt(norm);
  const distance = f32x4.div(f32x4.splat(job.difference), norm);
  const scale = f32x4.div(norm, f32x4.splat(2 * job.difference));
  for (let side = 0; side < 2; side++) {
    const move = side == 0 ? distance : f32x4.neg(distance);
    for (let a = 0; a < size; a++) {
      v128.store(at(shifted, a), fma(move, v128.load(at(v, a)), v128.load(at(x, a))));
    }
    guidance(job, shifted, step, work, changed);
    const factor = side == 0 ? scale : f32x4.neg(scale);
    for (let a = 0; a < size; a++) {
      const p = at(out, a);
      const product = f32x4.mul(factor, v128.load(at(changed, a)));
      v128.store(p, f32x4.add(v128.load(p), v128.and(product, alive)));
    }
  }
}

/** v ← v/√(1 + |v_i|²/(adjointClip·unit)²) for every particle; lanes of unit 0 stay as they are. */
function clipAdjoint(job: DiffusionJob, v: usize, unit: v128): void {
  const n = job.dimension;
  const one = f32x4.splat(1);
  const edge = f32x4.mul(f32x4.splat(job.adjointClip), unit);
  const square = f32x4.mul(edge, edge);
  const inverse = v128.and(f32x4.div(one, square), f32x4.gt(square, f32x4.splat(0)));
  for (let i = 0; i < job.particles; i++) {
    let norm = f32x4.splat(0);
    for (let a = i * n; a < (i + 1) * n; a++) {
      norm = fma(v128.load(at(v, a)), v128.load(at(v, a)), norm);
    }
    const factor = f32x4.div(one, f32x4.sqrt(fma(norm, inverse, one)));
    for (let a = i * n; a < (i + 1) * n; a++) {
      v128.store(at(v, a), f32x4.mul(factor, v128.load(at(v, a))));
    }
  }
}

/**
 * Adds Σ_s coefficients_s·∂W_s/∂parameters to `gradient`, the noise held fixed and the states
 * following the parameters: the adjoint method from the end of every path, without the terms of mean
 * zero that the oracle names. coefficients: f32 (blocks·4).
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
  const pulled = at(before, size);
  const space = at(pulled, size);
  const net = at(space, 3 * size);
  beginGradient(job.network, job.networkScratch);
  gatherPositions(job.networkScratch, before);
  for (let block = 0; block < blocks; block++) {
    const kappa = v128.load(coefficients + (<usize>block << 4));
    const alive = f32x4.ne(kappa, f32x4.splat(0));
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
      // −κ (h/σ⁺²)(x_{i+1} − a⁺x_i − h u), and the network at the state, for its tape.
      detachedAdjoint(job, x, next, force, step, kappa, net, adjoint);
      const ahead = v128.load(at(net, 2 * size + N));
      for (let a = 0; a < size; a++) {
        const there = v128.load(at(next, a));
        const residual = fnma(down, there, f32x4.sub(v128.load(at(x, a)), there));
        const pull = f32x4.mul(scale, residual);
        const l = f32x4.add(v128.load(at(lambda, a)), fma(down, pull, pull));
        v128.store(at(pulled, a), f32x4.sub(f32x4.mul(h, l), v128.load(at(adjoint, a))));
        v128.store(at(lambda, a), f32x4.neg(pull));
      }
      if (job.adjointClip > 0) {
        clipAdjoint(job, pulled, f32x4.mul(kappa, f32x4.mul(h, f32x4.splat(scheduled(job, 5, step)))));
      }
      const inverse = f32x4.div(f32x4.splat(1), h);
      for (let a = 0; a < size; a++) {
        const own = v128.load(at(pulled, a));
        const all = f32x4.add(own, v128.load(at(adjoint, a)));
        v128.store(at(adjoint, a), own);
        v128.store(at(pulled, a), all);
        const l = f32x4.mul(inverse, all);
        const p = at(lambda, a);
        v128.store(p, f32x4.add(v128.load(p), fma(up, l, l)));
      }
      if (job.targetForce) {
        let gain = f32x4.splat(2);
        if (job.network) gain = fma(gain, ahead, gain);
        for (let a = 0; a < size; a++) {
          const p = at(pulled, a);
          v128.store(p, f32x4.mul(gain, v128.load(p)));
        }
        centre(pulled, N, n);
        addGuidanceDerivative(job, x, step, pulled, alive, space, lambda);
      }
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
