// PvMF components (src/mint/pvmf.ts): directions weigh κ(f − 1), f = |W|²/(|B| |B₀|), W = Σ_j μ_j θ_jᵀ,
// B = Σ_j θ_j θ_jᵀ, B₀ the B of μ. A component's own numbers are the constant (with κ), κ and |B₀|.

/** W, B and what follows from them. */
struct Alignment {
  /** Σ μ θᵀ, columns by the coordinates of θ. */
  w: mat3x3<f32>,
  /** Σ θ θᵀ. */
  b: mat3x3<f32>,
  /** f. */
  f: f32,
  /** |B|². */
  square: f32,
}

fn frobenius_square(m: mat3x3<f32>) -> f32 {
  return dot(m[0], m[0]) + dot(m[1], m[1]) + dot(m[2], m[2]);
}

fn alignment(k: u32, g: u32) -> Alignment {
  let component = component_at(k);
  let anchor = labelled(g, 0u);
  var w = mat3x3<f32>();
  var b = mat3x3<f32>();
  for (var j = 1u; j < N; j++) {
    let mu = unit_mu(component + 4u + 8u * (j - 1u));
    let theta = direction(anchor, labelled(g, j));
    for (var e = 0u; e < 3u; e++) {
      w[e] += mu * theta[e];
      b[e] += theta * theta[e];
    }
  }
  let square = frobenius_square(b);
  let norm = sqrt(square) * prior[component + 2u];
  let f = select(0.0, frobenius_square(w) / norm, norm > 0.0);
  return Alignment(w, b, f, square);
}

/**
 * κ(f − 1). f is the cosine of the angle between the Gram matrices of μ and θ, so that 1 − f is half the
 * squared distance of the two at unit length: no difference of large numbers.
 */
fn directional_term(k: u32, g: u32) -> f32 {
  let component = component_at(k);
  let anchor = labelled(g, 0u);
  let square = alignment(k, g).square;
  let by_mu = 1.0 / prior[component + 2u];
  let by_theta = select(0.0, 1.0 / sqrt(square), square > 0.0);
  var distance = 0.0;
  for (var j = 1u; j < N; j++) {
    let mu = unit_mu(component + 4u + 8u * (j - 1u));
    let theta = direction(anchor, labelled(g, j));
    for (var l = 1u; l <= j; l++) {
      let other = unit_mu(component + 4u + 8u * (l - 1u));
      let d = by_mu * dot(mu, other) - by_theta * dot(theta, direction(anchor, labelled(g, l)));
      distance = fma(select(1.0, 0.5, l == j) * d, d, distance);
    }
  }
  return -prior[component + 1u] * distance;
}

fn directional_slope(k: u32, g: u32, place: u32, theta: vec3<f32>) -> vec3<f32> {
  let component = component_at(k);
  let own = alignment(k, g);
  if (own.square <= 0.0) {
    return vec3<f32>();
  }
  let mixed = (unit_mu(place) * own.w) / (sqrt(own.square) * prior[component + 2u]);
  return 2.0 * prior[component + 1u] * (mixed - (own.f / own.square) * (own.b * theta));
}
