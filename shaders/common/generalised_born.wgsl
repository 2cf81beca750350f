// Generalised Born solvation of Onufriev, Bashford and Case with a surface-area term, all pairs: one thread
// owns an atom and visits all others in each of three passes. Formulas: src/systems/molecule/obc.ts;
// SOLVENT is 1 for obc1, 2 for obc2; job.charges scales products of charges (soft core).
//
// Rows of seven at BORN_AT: ρ̃, 1/ρ̃, s, s², 1/ρ, q √κ, 4π σ (ρ + 0.14)² ρ⁶; before them α, β, γ.

const BORN_ROWS: u32 = BORN_AT + 3u;

fn born(i: u32, k: u32) -> f32 {
  return molecule[BORN_ROWS + 7u * i + k];
}

/** What atom j at distance r adds to the Born integral of atom i, and its derivative by r over r. */
fn descreening(i: u32, j: u32, r: f32) -> vec2<f32> {
  let offset = born(i, 0u);
  let s = born(j, 2u);
  let upper = r + s;
  // Out of reach: j lies inside i.
  if (upper <= offset) {
    return vec2<f32>();
  }
  let lower = max(offset, abs(r - s));
  let inverse = 1.0 / r;
  let inverse_l = 1.0 / lower;
  let inverse_u = 1.0 / upper;
  let gap = inverse_u - inverse_l;
  let squares = gap * (inverse_u + inverse_l);
  let log_ratio = log_f(lower * inverse_u) * inverse;
  let scaled = born(j, 3u) * inverse;
  var value = 0.5 * fma(0.25 * (r - scaled), squares, fma(0.5, log_ratio, -gap));
  var slope = fma(0.125 * fma(scaled, inverse, 1.0), squares, -0.25 * log_ratio * inverse);
  // Inside the other's sphere.
  if (s - r > offset) {
    if (SOLVENT == 2u) {
      value += born(i, 1u) - inverse_l;
    } else {
      slope = fma(inverse_l, inverse_l, slope);
    }
  }
  return vec2<f32>(value, slope * inverse);
}

/** First pass: B, ∂B/∂I, ∂E/∂B of this thread's atoms to the scratch; returns their self and surface energy. */
fn born_radii(lid: u32) -> f32 {
  var energy = 0.0;
  for (var i = lid; i < N; i += W) {
    let xi = position(X, i);
    var integral = 0.0;
    for (var j = 0u; j < rolled(N); j++) {
      if (j != i) {
        let d = xi - position(X, j);
        integral += descreening(i, j, sqrt(dot(d, d))).x;
      }
    }
    let alpha = molecule[BORN_AT];
    let beta = molecule[BORN_AT + 1u];
    let gamma = molecule[BORN_AT + 2u];
    let offset = born(i, 0u);
    let psi = integral * offset;
    // Atoms that coincide make ψ NaN, of which tanh_f would make a number.
    let t = select(psi, tanh_f(psi * fma(psi, fma(psi, gamma, -beta), alpha)), is_finite(psi));
    let inner = fma(psi, fma(3.0 * psi, gamma, -2.0 * beta), alpha);
    let slope = fma(-t, t, 1.0) * inner * offset;
    let inverse_radius = born(i, 4u);
    let inverse_b = fma(-t, inverse_radius, born(i, 1u));
    let b = 1.0 / inverse_b;
    let square = inverse_b * inverse_b;
    let area = born(i, 6u) * (square * square * square);
    let charge = born(i, 5u);
    let self_energy = 0.5 * job.charges * charge * charge * inverse_b;
    energy += area - self_energy;
    work[RADIUS + i] = b;
    work[BY_INTEGRAL + i] = b * b * slope * inverse_radius;
    work[BY_RADIUS + i] = fma(-6.0, area, self_energy) * inverse_b;
  }
  return energy;
}

/** Second pass, one pair as atom i sees it: its energy, 2 ∂E/∂f² (1 − e/4), and B_j times ∂E/∂(B_i B_j). */
fn solvated_pair(i: u32, j: u32, squared: f32) -> vec3<f32> {
  let product = work[RADIUS + i] * work[RADIUS + j];
  let ratio = 0.25 * squared / product;
  let decay = exp_f(-ratio);
  let inverse_f = 1.0 / sqrt(fma(product, decay, squared));
  let pair = job.charges * born(i, 5u) * born(j, 5u) * inverse_f;
  let by_square = 0.5 * pair * inverse_f * inverse_f;
  return vec3<f32>(
    -pair,
    2.0 * by_square * fma(-0.25, decay, 1.0),
    by_square * decay * (1.0 + ratio) * work[RADIUS + j],
  );
}

/** Third pass: the gradient on atom i by way of the Born radii; CHAIN holds ∂E/∂I of every atom. */
fn born_chain(i: u32) -> vec3<f32> {
  let xi = position(X, i);
  var g = vec3<f32>();
  for (var j = 0u; j < rolled(N); j++) {
    if (j != i) {
      let d = xi - position(X, j);
      let r = sqrt(dot(d, d));
      let slope = fma(
        work[CHAIN + i], descreening(i, j, r).y, work[CHAIN + j] * descreening(j, i, r).y,
      );
      g = fma(vec3<f32>(slope), d, g);
    }
  }
  return g;
}
