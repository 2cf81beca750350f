// The control of the comparators at a state, u = β b + 2 (1 + g) S, and what it is made of. Formulas:
// src/julep/diffusion.ts; the schedule: src/backends/webgpu/controlled_diffusion.ts.

// Rows of the schedule: of every step.
/** a⁺ − 1. */
const PULL_FORWARD: u32 = 0u;
/** a⁻ − 1. */
const PULL_BACKWARD: u32 = 1u;
/** σ⁺. */
const SIGMA_FORWARD: u32 = 2u;
/** σ⁻. */
const SIGMA_BACKWARD: u32 = 3u;
/** h. */
const CONTROL: u32 = 4u;
/** β. */
const SCALE: u32 = 5u;
/** a. */
const DECAY: u32 = 6u;
/** 1/v. */
const PRECISION: u32 = 7u;
/** η. */
const DESCENT: u32 = 8u;
const ROWS: u32 = 9u;

// Numbers behind the rows.
/** c. */
const ATTRACTION: u32 = 0u;
/** Per-particle clip of ∇U in S; 0: none. */
const CLIP: u32 = 1u;
/** 1/s² of the prior. */
const PRIOR: u32 = 2u;
/** Descent steps of S. */
const DESCENTS: u32 = 3u;
/** Half the distance between the points of a derivative of S, length. */
const DIFFERENCE: u32 = 4u;
/** Per-particle clip of the adjoint of a state, in units of β; 0: none. */
const ADJOINT_CLIP: u32 = 5u;

fn scheduled(row: u32, step: u32) -> f32 {
  return schedule[(1u + row) * job.steps + 1u + step];
}

fn given(number: u32) -> f32 {
  return schedule[(1u + ROWS) * job.steps + 1u + number];
}

/**
 * −∇U softened at work[x ...] to work[force ...], clipped per particle (clip 0: not), without its mean; U
 * returned. Begins and ends with a barrier.
 */
fn target_force(x: u32, t: f32, clip: f32, force: u32, lid: u32) -> f32 {
  sync();
  let energy = pair_energies(x, force, t, lid);
  sync();
  for (var q = lid; q < SIZE; q += W) {
    work[force + q] = -work[force + q];
  }
  sync();
  clip_force(force, clip, lid);
  project(force, DIM, lid);
  return energy;
}

/** S of a step's state to work[out ...]; y: N·n to work in. Begins and ends with a barrier. */
fn guidance(x: u32, step: u32, y: u32, out: u32, lid: u32) {
  sync();
  let a = scheduled(DECAY, step);
  let stiff = scheduled(PRECISION, step);
  let eta = scheduled(DESCENT, step);
  for (var q = lid; q < SIZE; q += W) {
    work[y + q] = a * work[x + q];
  }
  let passes = u32(given(DESCENTS));
  for (var k = 0u; k < passes; k++) {
    target_force(y, schedule[step], given(CLIP), out, lid);
    for (var q = lid; q < SIZE; q += W) {
      let here = work[y + q];
      let moved = fma(-a, work[x + q], here);
      let slope = fma(-stiff, moved, fma(given(ATTRACTION), here, work[out + q]));
      work[y + q] = fma(eta, slope, here);
    }
  }
  sync();
  for (var q = lid; q < SIZE; q += W) {
    work[out + q] = a * stiff * fma(-a, work[x + q], work[y + q]);
  }
  sync();
}

/** 2 (1 + g) of the outputs at work[net ...]; g is their one s. */
fn gain(net: u32) -> f32 {
  if (MATRIX) {
    return fma(2.0, work[net + 2u * SIZE + N * C], 2.0);
  }
  return 2.0;
}

/** h u of coordinate q: b at work[net ...] without its mean, S at FORCE. */
fn control_move(net: u32, step: u32, factor: f32, q: u32) -> f32 {
  var u = 0.0;
  if (NETWORK) {
    u = scheduled(SCALE, step) * work[net + q];
  }
  if (TARGET_FORCE) {
    u = fma(factor, work[FORCE + q], u);
  }
  return scheduled(CONTROL, step) * u;
}
