// The displacements of Julep's transition kernels, from the force and the network's outputs at a state.
// Formulas: src/backends/reference/julep.ts. Places of one state: X (N·n), FORCE (N·n), NET (b, c, h, s),
// VELOCITY (N·n).

const CHANNELS_AT: u32 = NET + 2u * SIZE;
const STRENGTHS_AT: u32 = CHANNELS_AT + N * C;

/** Outputs at NET in the gauge, heads that are off zeroed, and what the matrix exponential needs of them. */
fn network_outputs(lid: u32) {
  project_outputs(NET, lid);
  if (MATRIX) {
    if (!SIGNED && lid < C) {
      work[STRENGTHS_AT + lid] = 1.0;
    }
    sync();
    exponential_prepare(CHANNELS_AT, X, lid);
  }
}

/** D⁺ (sign +1) or D⁻ (sign −1) of step `step` of T to work[out ...]; ends with a barrier. */
fn displacement(sign: f32, step: u32, T: u32, out: u32, lid: u32) {
  let h = schedule[T + 1u + step];
  for (var q = lid; q < SIZE; q += W) {
    var d = h * work[FORCE + q];
    if (PAIR_DRIFT) {
      d = fma(sign * schedule[4u * T + 1u + step], work[VELOCITY + q], d);
    }
    if (NETWORK) {
      d = fma(sign * h, work[NET + q], d);
      d = fma(h, work[NET + SIZE + q], d);
    }
    work[out + q] = d;
  }
  sync();
  if (MATRIX) {
    exponential_displacement(CHANNELS_AT, STRENGTHS_AT, sign * h, out, lid);
  }
}
