// U_t(x) = Σ_{i<j} u(r_ij, t) + ½ k Σ_i |x_i − x_com|² and its gradient, the formulas of
// src/systems/double_well.ts and lennard_jones.ts. One thread owns a particle and visits all others
// (no two threads write to one place); energies are summed per particle, then over particles.
//
// KIND 0: double well, PAIR = offset, linear, quadratic, quartic; KIND 1: Lennard-Jones "shifted",
// KIND 2: "beutler", PAIR = ε, k, alpha.

/** (u, u′/r) of one pair at squared distance d2. */
fn pair_term(d2: f32, t: f32) -> vec2<f32> {
  if (KIND == 0u) {
    let r = sqrt(d2);
    let d = r - PAIR.x;
    let square = d * d;
    return vec2<f32>(
      d * fma(d, fma(square, PAIR.w, PAIR.z), PAIR.y),
      fma(d, fma(square, 4.0 * PAIR.w, 2.0 * PAIR.z), PAIR.y) / r,
    );
  }
  let left = 1.0 - t;
  if (KIND == 1u && left > 0.0) {
    let r = sqrt(d2);
    let inverse = 1.0 / (r + left);
    let inverse2 = inverse * inverse;
    let s = inverse2 * inverse2 * inverse2;
    let outer = 1.0 / (1.0 + left);
    let outer2 = outer * outer;
    let c = outer2 * outer2 * outer2;
    return PAIR.x * vec2<f32>(s * (s - 2.0 * c), -12.0 * s * inverse * (s - c) / r);
  }
  // At t = 1 both soft cores are the target.
  let core = select(PAIR.z * left * left, 0.0, KIND == 1u);
  let q = 1.0 / fma(d2 * d2, d2, core);
  let qr2 = q * d2;
  return PAIR.x * vec2<f32>(q * ((q - 1.0) - 1.0), -12.0 * qr2 * qr2 * (q - 1.0));
}

/** U_t at work[x ...], returned to all threads; its gradient to work[gradient ...] (N·n each). */
fn pair_energies(x: u32, gradient: u32, t: f32, lid: u32) -> f32 {
  var centre = vec3<f32>();
  if (KIND != 0u) {
    centre = centre_of(x);
  }
  var energy = 0.0;
  for (var i = lid; i < N; i += W) {
    let xi = position(x, i);
    var g = vec3<f32>();
    var own = 0.0;
    for (var j = 0u; j < rolled(N); j++) {
      if (j == i) {
        continue;
      }
      let d = difference(x, i, j);
      let term = pair_term(dot(d, d), t);
      own += select(0.0, term.x, j > i);
      g = fma(vec3<f32>(term.y), d, g);
    }
    if (KIND != 0u) {
      let d = xi - centre;
      g = fma(vec3<f32>(PAIR.y), d, g);
      own = fma(0.5 * PAIR.y, dot(d, d), own);
    }
    for (var a = 0u; a < DIM; a++) {
      work[gradient + i * DIM + a] = g[a];
    }
    energy += own;
  }
  return group_sum(energy, lid);
}
