// Orbit Gaussian components (src/mint/orbit_gaussian.ts). With y = Z x the whitened positions by place relative
// to the anchor (Zᵀ Z the precision matrix of the noise) and a = Z·mean, a term is
//   constant − ½ |y|² − ½ |a|² + log I(aᵀ y).
// A component has four numbers of its own (the first is the constant), then Z, (N − 1) rows of N, and a,
// (N − 1) rows of DIM. The first number of a row of Z belongs to the anchor: minus the sum of the others.
//
// One thread owns a particle and gathers what the terms that matter do to it.

const OWN_FORCES: u32 = FAMILY_WORK;

fn whitening(k: u32, i: u32, j: u32) -> f32 {
  return prior[component_at(k) + 4u + i * N + j];
}

fn orbit_left(k: u32, i: u32) -> vec4<f32> {
  let at = component_at(k) + 4u + (N - 1u) * N + i * DIM;
  return vec4<f32>(prior[at], prior[at + 1u], select(0.0, prior[at + DIM - 1u], DIM == 3u), 1.0);
}

fn orbit_right(k: u32, g: u32, i: u32, x: u32) -> vec3<f32> {
  let origin = position(x, labelled(g, 0u));
  var y = vec3<f32>();
  for (var j = 1u; j < N; j++) {
    y = fma(vec3<f32>(whitening(k, i, j)), position(x, labelled(g, j)) - origin, y);
  }
  return y;
}

/** The term without its constant, and ∂log I/∂C. */
fn gaussian_orbit(k: u32, g: u32, x: u32) -> Orbit {
  if (MEANS) {
    return orbit(k, g, x);
  }
  var square = 0.0;
  for (var i = 0u; i + 1u < N; i++) {
    let y = orbit_right(k, g, i, x);
    square += dot(y, y);
  }
  return Orbit(-0.5 * square, mat3x3<f32>());
}

fn prior_begin(x: u32, lid: u32) {}

fn prior_bound(k: u32, g: u32) -> f32 {
  return prior[component_at(k)];
}

fn prior_term(k: u32, g: u32, x: u32) -> f32 {
  return gaussian_orbit(k, g, x).value;
}

/** ∂log q/∂x of every particle to the scratch; ends with a barrier. */
fn prior_forces(x: u32, log_density: f32, lid: u32) {
  for (var particle = lid; particle < N; particle += W) {
    var force = vec3<f32>();
    for (var k = 0u; k < K; k++) {
      for (var g = 0u; g < G; g++) {
        let log_share = work[TERM_LOGS + k * G + g] - log_density;
        if (log_share < -CUT) {
          continue;
        }
        let slope = gaussian_orbit(k, g, x).slope;
        var place = 0u;
        while (labelled(g, place) != particle) {
          place++;
        }
        var own = vec3<f32>();
        for (var i = 0u; i + 1u < N; i++) {
          let by_y = slope * orbit_left(k, i).xyz - orbit_right(k, g, i, x);
          own = fma(vec3<f32>(whitening(k, i, place)), by_y, own);
        }
        force = fma(vec3<f32>(exp_f(log_share)), own, force);
      }
    }
    for (var d = 0u; d < DIM; d++) {
      work[OWN_FORCES + particle * DIM + d] = force[d];
    }
  }
  sync();
}

fn prior_force(i: u32, a: u32) -> f32 {
  return work[OWN_FORCES + i * DIM + a];
}
