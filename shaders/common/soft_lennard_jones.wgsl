// The soft Lennard-Jones energy of a cluster's own path. One thread owns a particle and visits all others.

/**
 * ε Σ_{i<j} (q² − 2 s q) + ½ κ Σ_i |x_i − x_com|², q = 1/(r⁶ + a), of work[x ...], returned to all threads;
 * its gradient to work[gradient ...]. `level`: ε, s, a, κ.
 */
fn soft_lennard_jones(level: vec4<f32>, x: u32, gradient: u32, lid: u32) -> f32 {
  let depth = level.x;
  let attraction = level.y;
  let softness = level.z;
  let confinement = level.w;
  let centre = centre_of(x);
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
      let d2 = dot(d, d);
      let q = 1.0 / fma(d2 * d2, d2, softness);
      let qr2 = q * d2;
      own += select(0.0, q * ((q - attraction) - attraction), j > i);
      g = fma(vec3<f32>(qr2 * qr2 * (q - attraction)), d, g);
    }
    let d = xi - centre;
    g = fma(vec3<f32>(-12.0 * depth), g, confinement * d);
    for (var a = 0u; a < DIM; a++) {
      work[gradient + i * DIM + a] = g[a];
    }
    energy += fma(depth, own, 0.5 * confinement * dot(d, d));
  }
  return group_sum(energy, lid);
}
