// Bonds, angles and torsions of a molecule. One thread evaluates a term and writes the gradient on each of
// its atoms to a slot of its own; then one thread for each atom adds its slots, always in the same order.
// Formulas: src/systems/molecule/bonded.ts; tables: src/backends/webgpu/molecule.ts.

/** Numbers in a row of the torsions' table. */
const TORSION_STRIDE: u32 = 6u + 2u * ORDERS;
/** First slots of the angles and of the torsions; bonds come first. */
const ANGLE_SLOTS: u32 = 2u * BONDS;
const TORSION_SLOTS: u32 = ANGLE_SLOTS + 3u * ANGLES;

fn atom(row: u32, k: u32) -> u32 {
  return u32(molecule[row + k]);
}

fn set_slot(slot: u32, g: vec3<f32>) {
  let at = SLOTS + 3u * slot;
  work[at] = g.x;
  work[at + 1u] = g.y;
  work[at + 2u] = g.z;
}

/** ½ k (r − r₀)²; rows i, j, r₀, k. */
fn bond(row: u32, slot: u32) -> f32 {
  let d = position(X, atom(row, 0u)) - position(X, atom(row, 1u));
  let r = sqrt(dot(d, d));
  let stretch = r - molecule[row + 2u];
  let force = molecule[row + 3u] * stretch;
  let g = (force / r) * d;
  set_slot(slot, g);
  set_slot(slot + 1u, -g);
  return 0.5 * force * stretch;
}

/** ½ k (θ − θ₀)²; rows i, j, k, θ₀, constant. */
fn angle(row: u32, slot: u32) -> f32 {
  let centre = position(X, atom(row, 1u));
  let u = position(X, atom(row, 0u)) - centre;
  let v = position(X, atom(row, 2u)) - centre;
  let n = cross(u, v);
  let sine = sqrt(dot(n, n));
  let bend = atan2_f(sine, dot(u, v)) - molecule[row + 3u];
  let slope = molecule[row + 4u] * bend;
  // On a line there is no direction to turn in: n = 0 makes the gradient 0, not NaN.
  let divisor = max(sine, 1e-18);
  let gi = (slope / (dot(u, u) * divisor)) * cross(u, n);
  let gk = (slope / (dot(v, v) * divisor)) * cross(n, v);
  set_slot(slot, gi);
  set_slot(slot + 1u, -(gi + gk));
  set_slot(slot + 2u, gk);
  return 0.5 * slope * bend;
}

/**
 * constant + Σ_n a_n cos nφ + b_n sin nφ; rows i, j, k, l, M, constant, a_1, b_1, ..., a_M, b_M, unused. cos nφ
 * and sin nφ come from those of φ by rotation, so that no angle is taken.
 */
fn torsion(row: u32, slot: u32) -> f32 {
  let xj = position(X, atom(row, 1u));
  let xk = position(X, atom(row, 2u));
  let f = position(X, atom(row, 0u)) - xj;
  let g = xj - xk;
  let h = position(X, atom(row, 3u)) - xk;
  let a = cross(f, g);
  let b = cross(h, g);
  let inverse_a = 1.0 / dot(a, a);
  let inverse_b = 1.0 / dot(b, b);
  let square = dot(g, g);
  let length = sqrt(square);
  let scale = sqrt(inverse_a) * sqrt(inverse_b);
  let cosine = dot(a, b) * scale;
  let sine = -dot(f, b) * length * scale;
  var c = cosine;
  var s = sine;
  var energy = molecule[row + 5u];
  var slope = 0.0;
  for (var m = 1u; m <= atom(row, 4u); m++) {
    let am = molecule[row + 4u + 2u * m];
    let bm = molecule[row + 5u + 2u * m];
    energy += fma(am, c, bm * s);
    slope = fma(f32(m), fma(-am, s, bm * c), slope);
    let next = fma(-s, sine, c * cosine);
    s = fma(s, cosine, c * sine);
    c = next;
  }
  let gi = (slope * length * inverse_a) * a;
  let gl = (slope * length * inverse_b) * b;
  let middle = (dot(f, g) / square) * gi - (dot(h, g) / square) * gl;
  set_slot(slot, -gi);
  set_slot(slot + 1u, gi + middle);
  set_slot(slot + 2u, -(middle + gl));
  set_slot(slot + 3u, gl);
  return energy;
}

/** Energies of this thread's bonds, angles and torsions; their gradients to the slots. */
fn bonded_terms(lid: u32) -> vec3<f32> {
  var energies = vec3<f32>();
  for (var k = lid; k < rolled(BONDS); k += W) {
    energies.x += bond(BONDS_AT + 4u * k, 2u * k);
  }
  for (var k = lid; k < rolled(ANGLES); k += W) {
    energies.y += angle(ANGLES_AT + 5u * k, ANGLE_SLOTS + 3u * k);
  }
  for (var k = lid; k < rolled(TORSIONS); k += W) {
    energies.z += torsion(TORSIONS_AT + TORSION_STRIDE * k, TORSION_SLOTS + 4u * k);
  }
  return energies;
}

/** Σ of an atom's slots; the list's places stand at LISTS_AT, one for each atom and the end. */
fn bonded_gradient(i: u32) -> vec3<f32> {
  var g = vec3<f32>();
  for (var at = atom(LISTS_AT, i); at < atom(LISTS_AT, i + 1u); at++) {
    g += position(SLOTS, atom(LISTS_AT + N + 1u, at));
  }
  return g;
}
