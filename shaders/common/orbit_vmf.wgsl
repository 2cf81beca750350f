// The Mint prior: log q and ∂log q/∂x. Formulas: src/mint/orbit_vmf.ts and src/mint/mixture.ts.
//
// `prior` as the host packs it (src/backends/webgpu/orbit_vmf.ts), all f32:
//   0 log constant of the broad part, 1 its 1/s²; LABELLINGS: G rows of N particles, anchor first, sorted
//   by it; ANCHORS: first row and number of rows for every anchor (2 N); NODE_TABLES (n = 3): quadrature
//   nodes v, 1 − v and weights, NODES each, for 24 octaves of s₁ + s₂; COMPONENTS: K times constant
//   (without −Σκ), π, Σκ, 1/Σκ and for each of N − 1 places κ, unit μ (3), ρ, 1/σ and two unused.
//
// A term is one (component, labelling). First all logarithms of terms, then log q, then for every
// ordered pair (anchor, particle) the slopes of the terms that matter, gathered by one thread.
// Scratch at PRIOR_WORK: geometry of all pairs, terms, pair forces.

const GEOMETRY: u32 = PRIOR_WORK;
const GEOMETRY_STRIDE: u32 = DIM + 2u;
const TERM_LOGS: u32 = GEOMETRY + N * N * GEOMETRY_STRIDE;
const PAIR_FORCES: u32 = TERM_LOGS + K * G;
const COMPONENT_STRIDE: u32 = 4u + 8u * (N - 1u);
const NODES: u32 = 32u;
const OCTAVES: u32 = 24u;
/** Terms this far (in log) below the largest that a thread has seen are zero: 4e-8. */
const CUT: f32 = 17.0;
const NOTHING: f32 = -1e30;

/** The orbit integral of one term. */
struct Orbit {
  /** log I(C) − Σκ. */
  value: f32,
  /** ∂log I/∂C, C = Σ_j κ_j μ_j θ_jᵀ, rows of the first index. */
  slope: mat3x3<f32>,
}

/** Direction from particle a to particle b. */
fn direction(a: u32, b: u32) -> vec3<f32> {
  let at = GEOMETRY + (a * N + b) * GEOMETRY_STRIDE;
  return vec3<f32>(work[at], work[at + 1u], select(0.0, work[at + DIM - 1u], DIM == 3u));
}

/** Place of component k in `prior`. */
fn component_at(k: u32) -> u32 {
  return COMPONENTS + k * COMPONENT_STRIDE;
}

/** Particle at place j (0: the anchor) of labelling g. */
fn labelled(g: u32, j: u32) -> u32 {
  return u32(prior[LABELLINGS + g * N + j]);
}

fn unit_mu(place: u32) -> vec3<f32> {
  return vec3<f32>(prior[place + 1u], prior[place + 2u], prior[place + 3u]);
}

/** The term without its orbit integral, and an upper bound of the term: log I(C) ≤ Σκ. */
fn radial_part(k: u32, g: u32) -> f32 {
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

/**
 * n = 2: I = ½ [I₀(|P|) + I₀(|M|)], rotations and reflections. Σκ − |P| = ½ Σ κ_j |μ_j − Q θ_j|² for the
 * best rotation Q: no difference of large numbers.
 */
fn orbit_plane(k: u32, g: u32) -> Orbit {
  let component = component_at(k);
  let anchor = labelled(g, 0u);
  var p = vec2<f32>();
  var m = vec2<f32>();
  for (var j = 1u; j < N; j++) {
    let place = component + 4u + 8u * (j - 1u);
    let mu = prior[place] * unit_mu(place).xy;
    let theta = direction(anchor, labelled(g, j)).xy;
    // P = Σ κμθ*, M = Σ κμθ as complex numbers.
    p += vec2<f32>(dot(mu, theta), mu.y * theta.x - mu.x * theta.y);
    m += vec2<f32>(mu.x * theta.x - mu.y * theta.y, mu.x * theta.y + mu.y * theta.x);
  }
  let p_length = length(p);
  let m_length = length(m);
  let p_unit = select(vec2<f32>(1.0, 0.0), p / p_length, p_length > 0.0);
  let m_unit = select(vec2<f32>(1.0, 0.0), m / m_length, m_length > 0.0);
  var p_loss = 0.0;
  var m_loss = 0.0;
  for (var j = 1u; j < N; j++) {
    let place = component + 4u + 8u * (j - 1u);
    let mu = unit_mu(place).xy;
    let theta = direction(anchor, labelled(g, j)).xy;
    let u = vec2<f32>(dot(mu, theta), mu.y * theta.x - mu.x * theta.y) - p_unit;
    let v = vec2<f32>(mu.x * theta.x - mu.y * theta.y, mu.x * theta.y + mu.y * theta.x) - m_unit;
    p_loss = fma(0.5 * prior[place], dot(u, u), p_loss);
    m_loss = fma(0.5 * prior[place], dot(v, v), m_loss);
  }
  let p_bessel = bessel0(p_length);
  let m_bessel = bessel0(m_length);
  let p_log = log_f(p_bessel.x) - p_loss;
  let m_log = log_f(m_bessel.x) - m_loss;
  let most = max(p_log, m_log);
  let p_term = exp_f(p_log - most);
  let m_term = exp_f(m_log - most);
  let sum = p_term + m_term;
  let by_p = p_term / sum * p_bessel.y * p;
  let by_m = m_term / sum * m_bessel.y * m;
  return Orbit(
    most + log_f(0.5 * sum),
    mat3x3<f32>(
      vec3<f32>(by_p.x + by_m.x, by_m.y - by_p.y, 0.0),
      vec3<f32>(by_p.y + by_m.y, by_p.x - by_m.x, 0.0),
      vec3<f32>(),
    ),
  );
}

/** A singular value decomposition C = U diag(s) Vᵀ. */
struct Svd {
  /** U, orthogonal. */
  u: mat3x3<f32>,
  /** s₁ ≥ s₂ ≥ s₃. */
  s: vec3<f32>,
  /** V, orthogonal. */
  v: mat3x3<f32>,
}

/** One-sided Jacobi: rotates columns until they are orthogonal. */
fn svd3(c: mat3x3<f32>) -> Svd {
  var u = c;
  var v = mat3x3<f32>(
    vec3<f32>(1.0, 0.0, 0.0), vec3<f32>(0.0, 1.0, 0.0), vec3<f32>(0.0, 0.0, 1.0),
  );
  for (var sweep = 0u; sweep < 8u; sweep++) {
    for (var pair = 0u; pair < 3u; pair++) {
      let p = select(0u, 1u, pair == 2u);
      let q = select(2u, 1u, pair == 0u);
      let up = u[p];
      let uq = u[q];
      let gamma = dot(up, uq);
      let alpha = dot(up, up);
      let beta = dot(uq, uq);
      if (abs(gamma) <= 1e-8 * sqrt(alpha * beta)) {
        continue;
      }
      let zeta = (beta - alpha) / (2.0 * gamma);
      let t = select(-1.0, 1.0, zeta >= 0.0) / (abs(zeta) + sqrt(1.0 + zeta * zeta));
      let cosine = 1.0 / sqrt(1.0 + t * t);
      let sine = cosine * t;
      u[p] = cosine * up - sine * uq;
      u[q] = sine * up + cosine * uq;
      let vp = v[p];
      let vq = v[q];
      v[p] = cosine * vp - sine * vq;
      v[q] = sine * vp + cosine * vq;
    }
  }
  var s = vec3<f32>(length(u[0]), length(u[1]), length(u[2]));
  for (var turn = 0u; turn < 3u; turn++) {
    let i = select(0u, 1u, turn == 1u);
    if (s[i] < s[i + 1u]) {
      let x = s[i];
      s[i] = s[i + 1u];
      s[i + 1u] = x;
      let a = u[i];
      u[i] = u[i + 1u];
      u[i + 1u] = a;
      let b = v[i];
      v[i] = v[i + 1u];
      v[i + 1u] = b;
    }
  }
  // Unit columns; where a singular value vanishes, any completion to an orthogonal matrix. The third
  // column is a product of the other two with its own sign, so that U stays orthogonal to rounding.
  let tiny = 1e-6 * s.x;
  let first = select(vec3<f32>(1.0, 0.0, 0.0), u[0] / s.x, s.x > 0.0);
  var second = u[1] - first * dot(first, u[1]);
  if (s.y <= tiny) {
    let axis = select(
      select(vec3<f32>(0.0, 0.0, 1.0), vec3<f32>(0.0, 1.0, 0.0), abs(first.y) < abs(first.z)),
      vec3<f32>(1.0, 0.0, 0.0), abs(first.x) < min(abs(first.y), abs(first.z)),
    );
    second = axis - first * dot(first, axis);
  }
  second = normalize(second);
  var third = cross(first, second);
  if (dot(third, u[2]) < 0.0) {
    third = -third;
  }
  return Svd(mat3x3<f32>(first, second, third), s, v);
}

/**
 * n = 3: e^{Σs} times a quadrature over Bessel functions of the singular values
 * (src/mint/orbit_integral.ts). Σκ − Σs = ½ Σ κ_j |μ_j − Q θ_j|² for the best orthogonal Q = U Vᵀ.
 */
fn orbit_space(k: u32, g: u32) -> Orbit {
  let component = component_at(k);
  let anchor = labelled(g, 0u);
  var c = mat3x3<f32>();
  for (var j = 1u; j < N; j++) {
    let place = component + 4u + 8u * (j - 1u);
    let mu = prior[place] * unit_mu(place);
    let theta = direction(anchor, labelled(g, j));
    c[0] += mu * theta.x;
    c[1] += mu * theta.y;
    c[2] += mu * theta.z;
  }
  let d = svd3(c);
  let q = d.u * transpose(d.v);
  var loss = 0.0;
  for (var j = 1u; j < N; j++) {
    let place = component + 4u + 8u * (j - 1u);
    let difference = unit_mu(place) - q * direction(anchor, labelled(g, j));
    loss = fma(0.5 * prior[place], dot(difference, difference), loss);
  }
  let a = d.s.x - d.s.y;
  let b = d.s.x + d.s.y;
  // Octave of 1 + s₁ + s₂: its binary exponent.
  let exponent = (bitcast<u32>(1.0 + b) >> 23u) - 127u;
  let table = NODE_TABLES + 3u * NODES * min(exponent, OCTAVES - 1u);
  var sum = 0.0;
  var by_a = 0.0;
  var by_b = 0.0;
  var by_s2 = 0.0;
  var by_s3 = 0.0;
  for (var node = 0u; node < NODES; node++) {
    let low = prior[table + node];
    let high = prior[table + NODES + node];
    let ia = bessel0(a * low);
    let ib = bessel0(b * high);
    let plus = exp_f(-2.0 * d.s.z * low);
    let minus = exp_f(-2.0 * d.s.z * high);
    let weight = prior[table + 2u * NODES + node] * exp_f(-2.0 * d.s.y * low);
    let common_part = weight * (plus + minus);
    let value = common_part * ia.x * ib.x;
    sum += value;
    by_a = fma(value * low, ia.y * a * low - 1.0, by_a);
    by_b = fma(value * high, ib.y * b * high - 1.0, by_b);
    by_s2 = fma(low, value, by_s2);
    by_s3 = fma(weight * ia.x * ib.x, fma(low, plus, high * minus), by_s3);
  }
  let g1 = 1.0 + (by_a + by_b) / sum;
  let g2 = 1.0 + (by_b - by_a - 2.0 * by_s2) / sum;
  let g3 = 1.0 - 2.0 * by_s3 / sum;
  let scaled = mat3x3<f32>(d.u[0] * g1, d.u[1] * g2, d.u[2] * g3);
  // Rows of the slope, as Orbit wants them.
  return Orbit(log_f(0.5 * sum) - loss, transpose(scaled * transpose(d.v)));
}

fn orbit(k: u32, g: u32) -> Orbit {
  if (DIM == 2u) {
    return orbit_plane(k, g);
  }
  return orbit_space(k, g);
}

/** Directions, log r and 1/r of all ordered pairs. */
fn pair_geometry(x: u32, lid: u32) {
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

/** The centre of all particles. */
fn centre_of(x: u32) -> vec3<f32> {
  var sum = vec3<f32>();
  for (var i = 0u; i < N; i++) {
    sum += position(x, i);
  }
  return sum / f32(N);
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
      let slope = orbit(k, g).slope;
      by_direction += share * prior[place] * (slope * unit_mu(place));
    }
  }
  let theta = direction(a, b);
  let along = by_log_radius - dot(theta, by_direction);
  let inverse = work[GEOMETRY + (a * N + b) * GEOMETRY_STRIDE + DIM + 1u];
  return inverse * (along * theta + by_direction);
}

/** log q at work[x ...], returned to all threads; ∂log q/∂x to work[gradient ...]. Ends with a barrier. */
fn orbit_vmf(x: u32, gradient: u32, lid: u32) -> f32 {
  let centre = centre_of(x);
  var square = 0.0;
  for (var i = 0u; i < N; i++) {
    let d = position(x, i) - centre;
    square += dot(d, d);
  }
  let broad = fma(-0.5 * prior[1], square, prior[0]);
  var log_density = broad;
  if (K > 0u) {
    pair_geometry(x, lid);
    sync();
    var best = broad;
    for (var q = lid; q < K * G; q += W) {
      var term = NOTHING;
      let radial = radial_part(q / G, q % G);
      if (radial > best - CUT) {
        term = radial + orbit(q / G, q % G).value;
        best = max(best, term);
      }
      work[TERM_LOGS + q] = term;
    }
    let largest = group_max(best, lid);
    var sum = 0.0;
    for (var q = lid; q < K * G; q += W) {
      sum += exp_f(work[TERM_LOGS + q] - largest);
    }
    sum = group_sum(sum, lid) + exp_f(broad - largest);
    log_density = largest + log_f(sum);
    sync();
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
  let pull = -exp_f(broad - log_density) * prior[1];
  for (var i = lid; i < N; i += W) {
    let d = pull * (position(x, i) - centre);
    for (var a = 0u; a < DIM; a++) {
      var sum = d[a];
      if (K > 0u) {
        for (var j = 0u; j < N; j++) {
          sum += work[PAIR_FORCES + (j * N + i) * DIM + a];
          sum -= work[PAIR_FORCES + (i * N + j) * DIM + a];
        }
      }
      work[gradient + i * DIM + a] = sum;
    }
  }
  sync();
  return log_density;
}
