// Families of directions and distances seen from an anchor: log-normal radii times a density of directions.
// A component has four numbers of its own (the first is the constant), then eight for each of N − 1 places:
// one of the family, unit μ (3), ρ, 1/σ and two unused. The family adds directional_term(k, g), at most 0,
// and directional_slope(k, g, place, θ), its derivative by the direction θ at a place.
//
// For every ordered pair (anchor, particle) one thread gathers the slopes of the terms that matter.

const GEOMETRY: u32 = FAMILY_WORK;
const GEOMETRY_STRIDE: u32 = DIM + 2u;
const PAIR_FORCES: u32 = GEOMETRY + N * N * GEOMETRY_STRIDE;

/** Direction from particle a to particle b. */
fn direction(a: u32, b: u32) -> vec3<f32> {
  let at = GEOMETRY + (a * N + b) * GEOMETRY_STRIDE;
  return vec3<f32>(work[at], work[at + 1u], select(0.0, work[at + DIM - 1u], DIM == 3u));
}

fn unit_mu(place: u32) -> vec3<f32> {
  return vec3<f32>(prior[place + 1u], prior[place + 2u], prior[place + 3u]);
}

/** The term without its directions: an upper bound. */
fn prior_bound(k: u32, g: u32) -> f32 {
  let component = component_at(k);
  let anchor = labelled(g, 0u);
  var sum = prior[component];
  for (var j = 1u; j < N; j++) {
    let place = component + 4u + 8u * (j - 1u);
    let log_radius = work[GEOMETRY + (anchor * N + labelled(g, j)) * GEOMETRY_STRIDE + DIM];
    let z = (log_radius - prior[place + 4u]) * prior[place + 5u];
    sum -= fma(0.5 * z, z, f32(DIM) * log_radius);
  }
  return sum;
}

/** Directions, log r and 1/r of all ordered pairs. */
fn prior_begin(x: u32, lid: u32) {
  for (var q = lid; q < N * N; q += W) {
    let d = position(x, q % N) - position(x, q / N);
    let square = max(dot(d, d), 1e-30);
    let inverse = 1.0 / sqrt(square);
    let at = GEOMETRY + q * GEOMETRY_STRIDE;
    for (var a = 0u; a < DIM; a++) {
      work[at + a] = d[a] * inverse;
    }
    work[at + DIM] = 0.5 * log_f(square);
    work[at + DIM + 1u] = inverse;
  }
}

fn prior_term(k: u32, g: u32, x: u32) -> f32 {
  return directional_term(k, g);
}

/** What the terms of anchor a push particle b with, away from a. */
fn pair_force(a: u32, b: u32, log_density: f32) -> vec3<f32> {
  let first = u32(prior[ANCHORS + 2u * a]);
  let rows = u32(prior[ANCHORS + 2u * a + 1u]);
  var by_log_radius = 0.0;
  var by_direction = vec3<f32>();
  for (var k = 0u; k < K; k++) {
    for (var g = first; g < first + rows; g++) {
      let log_share = work[TERM_LOGS + k * G + g] - log_density;
      if (log_share < -CUT) {
        continue;
      }
      let share = exp_f(log_share);
      var j = 1u;
      while (labelled(g, j) != b) {
        j++;
      }
      let place = component_at(k) + 4u + 8u * (j - 1u);
      let log_radius = work[GEOMETRY + (a * N + b) * GEOMETRY_STRIDE + DIM];
      let z = (log_radius - prior[place + 4u]) * prior[place + 5u];
      by_log_radius -= share * fma(z, prior[place + 5u], f32(DIM));
      by_direction += share * directional_slope(k, g, place, direction(a, b));
    }
  }
  let theta = direction(a, b);
  let along = by_log_radius - dot(theta, by_direction);
  let inverse = work[GEOMETRY + (a * N + b) * GEOMETRY_STRIDE + DIM + 1u];
  return inverse * (along * theta + by_direction);
}

/** Forces of all ordered pairs to the scratch; ends with a barrier. */
fn prior_forces(x: u32, log_density: f32, lid: u32) {
  for (var q = lid; q < N * N; q += W) {
    let a = q / N;
    let b = q % N;
    var force = vec3<f32>();
    if (a != b && prior[ANCHORS + 2u * a + 1u] > 0.0) {
      force = pair_force(a, b, log_density);
    }
    for (var d = 0u; d < DIM; d++) {
      work[PAIR_FORCES + q * DIM + d] = force[d];
    }
  }
  sync();
}

/** What all pairs do to coordinate a of particle i. */
fn prior_force(i: u32, a: u32) -> f32 {
  var sum = 0.0;
  for (var j = 0u; j < N; j++) {
    sum += work[PAIR_FORCES + (j * N + i) * DIM + a];
    sum -= work[PAIR_FORCES + (i * N + j) * DIM + a];
  }
  return sum;
}
