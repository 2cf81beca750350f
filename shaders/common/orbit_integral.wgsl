// Orbit integrals log ∫ exp(tr Cᵀ Q) dQ over rotations and reflections Q (src/mint/orbit_integral.ts) of
// C = Σ_i w_i u_i v_iᵀ, less ½ Σ w_i (|u_i|² + |v_i|²). What is taken off and the integral's exponent are
// both large; together they are −½ Σ w_i |u_i − Q v_i|² for the best Q: no difference of large numbers.
//
// A family says what its rows are: orbit_left(k, i) gives u_i and w_i of component k, orbit_right(k, g, i, x)
// v_i of labelling g, i < N − 1.

const NODES: u32 = 32u;
const OCTAVES: u32 = 24u;

/** The orbit integral of one term. */
struct Orbit {
  /** log I(C) − ½ Σ w (|u|² + |v|²). */
  value: f32,
  /** ∂log I/∂C, rows of the first index. */
  slope: mat3x3<f32>,
}

/** n = 2: I = ½ [I₀(|P|) + I₀(|M|)], rotations and reflections. */
fn orbit_plane(k: u32, g: u32, x: u32) -> Orbit {
  var p = vec2<f32>();
  var m = vec2<f32>();
  for (var i = 0u; i + 1u < N; i++) {
    let left = orbit_left(k, i);
    let u = left.w * left.xy;
    let v = orbit_right(k, g, i, x).xy;
    // P = Σ w u v*, M = Σ w u v as complex numbers.
    p += vec2<f32>(dot(u, v), u.y * v.x - u.x * v.y);
    m += vec2<f32>(u.x * v.x - u.y * v.y, u.x * v.y + u.y * v.x);
  }
  let p_length = length(p);
  let m_length = length(m);
  let p_unit = select(vec2<f32>(1.0, 0.0), p / p_length, p_length > 0.0);
  let m_unit = select(vec2<f32>(1.0, 0.0), m / m_length, m_length > 0.0);
  var p_loss = 0.0;
  var m_loss = 0.0;
  for (var i = 0u; i + 1u < N; i++) {
    let left = orbit_left(k, i);
    let v = orbit_right(k, g, i, x).xy;
    let turned = vec2<f32>(p_unit.x * v.x - p_unit.y * v.y, p_unit.x * v.y + p_unit.y * v.x);
    let mirrored = vec2<f32>(m_unit.x * v.x + m_unit.y * v.y, m_unit.y * v.x - m_unit.x * v.y);
    let by_turn = left.xy - turned;
    let by_mirror = left.xy - mirrored;
    p_loss = fma(0.5 * left.w, dot(by_turn, by_turn), p_loss);
    m_loss = fma(0.5 * left.w, dot(by_mirror, by_mirror), m_loss);
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

/** n = 3: e^{Σs} times a quadrature over Bessel functions of the singular values. */
fn orbit_space(k: u32, g: u32, x: u32) -> Orbit {
  var c = mat3x3<f32>();
  for (var i = 0u; i + 1u < N; i++) {
    let left = orbit_left(k, i);
    let u = left.w * left.xyz;
    let v = orbit_right(k, g, i, x);
    c[0] += u * v.x;
    c[1] += u * v.y;
    c[2] += u * v.z;
  }
  let d = svd3(c);
  let q = d.u * transpose(d.v);
  var loss = 0.0;
  for (var i = 0u; i + 1u < N; i++) {
    let left = orbit_left(k, i);
    let difference = left.xyz - q * orbit_right(k, g, i, x);
    loss = fma(0.5 * left.w, dot(difference, difference), loss);
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

fn orbit(k: u32, g: u32, x: u32) -> Orbit {
  if (DIM == 2u) {
    return orbit_plane(k, g, x);
  }
  return orbit_space(k, g, x);
}
