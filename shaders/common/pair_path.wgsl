// A cluster's own path (src/julep/pair_path.ts): the soft Lennard-Jones energy of a level, and the fitted
// pair drift. One thread owns a particle and visits all others.
//
// Behind the schedule's times and steps stand, for each of the T + 1 states: the force's clip (from
// 5T + 1), ε, s, a, κ of its level (from 6T + 2), the drift's table (from 10T + 6).

/** ε Σ_{i<j} (q² − 2 s q) + ½ κ Σ_i |x_i − x_com|², q = 1/(r⁶ + a), of state `at`; gradient to work[...]. */
fn level_energy(x: u32, gradient: u32, at: u32, T: u32, lid: u32) -> f32 {
  let row = 6u * T + 2u + 4u * at;
  let depth = schedule[row];
  let attraction = schedule[row + 1u];
  let softness = schedule[row + 2u];
  let confinement = schedule[row + 3u];
  var centre = vec3<f32>();
  for (var j = 0u; j < rolled(N); j++) {
    centre += position(x, j);
  }
  centre /= f32(N);
  var energy = 0.0;
  for (var i = lid; i < N; i += W) {
    let xi = position(x, i);
    var g = vec3<f32>();
    var own = 0.0;
    for (var j = 0u; j < rolled(N); j++) {
      if (j == i) {
        continue;
      }
      let d = xi - position(x, j);
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

/** v_i = Σ_{j≠i} g(|x_i − x_j|) (x_i − x_j), g linear between nodes, constant beyond the last. */
fn pair_velocity(x: u32, velocity: u32, at: u32, T: u32, lid: u32) {
  let table = 10u * T + 6u + at * (CELLS + 1u);
  for (var i = lid; i < N; i += W) {
    let xi = position(x, i);
    var v = vec3<f32>();
    for (var j = 0u; j < rolled(N); j++) {
      let d = xi - position(x, j);
      let place = min(length(d) * INVERSE_WIDTH, f32(CELLS));
      let cell = min(u32(place), CELLS - 1u);
      let low = schedule[table + cell];
      let g = fma(schedule[table + cell + 1u] - low, place - f32(cell), low);
      v = fma(vec3<f32>(g), d, v);
    }
    for (var a = 0u; a < DIM; a++) {
      work[velocity + i * DIM + a] = v[a];
    }
  }
}
