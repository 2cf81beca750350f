// Elementary functions. WGSL promises sin and cos only to 2^-11 and log to 2^-21, and devices differ:
// these polynomials (those of assembly/math.ts) make the accuracy the same everywhere.

/** e^x within 2 ulp for x from −87 to 88; beyond, 0 and +inf come out as the device rounds them. */
fn exp_f(value: f32) -> f32 {
  let x = clamp(value, -104.5, 89.5);
  let n = round(x * 1.44269504);
  var r = fma(-n, 0.693359375, x);
  r = fma(-n, -2.12194440e-4, r);
  var p = fma(1.9875691500e-4, r, 1.3981999507e-3);
  p = fma(p, r, 8.3334519073e-3);
  p = fma(p, r, 4.1665795894e-2);
  p = fma(p, r, 1.6666665459e-1);
  p = fma(p, r, 5.0000001201e-1);
  p = fma(p, r * r, r) + 1.0;
  // Two factors 2^a·2^b: one alone would overflow before the result does.
  let integer = i32(n);
  let half = integer >> 1u;
  let first = bitcast<f32>((half << 23u) + 0x3f800000i);
  let second = bitcast<f32>(((integer - half) << 23u) + 0x3f800000i);
  return p * first * second;
}

/** log(1 + f) + e·log 2 for f in [√½ − 1, √2 − 1] and an integral e. */
fn log_of_parts(f: f32, e: f32) -> f32 {
  var p = fma(7.0376836292e-2, f, -1.1514610310e-1);
  p = fma(p, f, 1.1676998740e-1);
  p = fma(p, f, -1.2420140846e-1);
  p = fma(p, f, 1.4249322787e-1);
  p = fma(p, f, -1.6668057665e-1);
  p = fma(p, f, 2.0000714765e-1);
  p = fma(p, f, -2.4999993993e-1);
  p = fma(p, f, 3.3333331174e-1);
  let square = f * f;
  p = p * f * square;
  p = fma(e, -2.12194440e-4, p);
  p = fma(-0.5, square, p);
  return fma(e, 0.693359375, f + p);
}

/** The binary exponent e of a positive normal x, such that x/2^e is in [√½, √2). */
fn exponent_of(x: f32) -> f32 {
  return f32((bitcast<i32>(x) - 0x3f3504f3i) >> 23u);
}

/** x/2^e − 1 with the e of exponent_of; exact. */
fn mantissa_minus_one(x: f32) -> f32 {
  let bits = ((bitcast<i32>(x) - 0x3f3504f3i) & 0x007fffffi) + 0x3f3504f3i;
  return bitcast<f32>(bits) - 1.0;
}

/** Natural logarithm of a positive normal number, within 2 ulp. */
fn log_f(x: f32) -> f32 {
  return log_of_parts(mantissa_minus_one(x), exponent_of(x));
}

/** log(1 + x), relative to its size also where x is small. */
fn log_one_plus(x: f32) -> f32 {
  if (x > -0.29 && x < 0.41) {
    return log_of_parts(x, 0.0);
  }
  return log_f(1.0 + x);
}

/** tanh x, rational 13/6, within 7 ulp; never above 1 in size. */
fn tanh_v(value: vec4<f32>) -> vec4<f32> {
  let x = clamp(value, vec4<f32>(-7.90531110763549805), vec4<f32>(7.90531110763549805));
  let u = x * x;
  var p = fma(vec4<f32>(-7.067567302204e-14), u, vec4<f32>(5.120481036351e-11));
  p = fma(p, u, vec4<f32>(-2.202795909667e-08));
  p = fma(p, u, vec4<f32>(1.311308055135e-05));
  p = fma(p, u, vec4<f32>(3.803449234380e-03));
  p = fma(p, u, vec4<f32>(1.631390537921e-01));
  p = fma(p, u, vec4<f32>(1.252742287083e+00));
  var q = fma(vec4<f32>(3.067541490348e-04), u, vec4<f32>(3.034488465578e-02));
  q = fma(q, u, vec4<f32>(5.807192659044e-01));
  q = fma(q, u, vec4<f32>(1.252742447499e+00));
  return x * p / q;
}

fn tanh_f(x: f32) -> f32 {
  return tanh_v(vec4<f32>(x)).x;
}

/** (cos 2πu, sin 2πu) for |u| ≤ 2^20, absolute error 1e-7. */
fn cos_sin_turns(u: f32) -> vec2<f32> {
  let n = round(u * 4.0);
  let r = fma(-n, 0.25, u);
  let r2 = r * r;
  var s = fma(-75.39356275, r2, 81.59235355);
  s = fma(s, r2, -41.34166145);
  s = fma(s, r2, 6.283185287) * r;
  var c = fma(59.2027956, r2, -85.44229796);
  c = fma(c, r2, 64.93931074);
  c = fma(c, r2, -19.73920863);
  c = fma(c, r2, 1.0);
  let quadrant = i32(n) & 3i;
  if (quadrant == 0i) {
    return vec2<f32>(c, s);
  }
  if (quadrant == 1i) {
    return vec2<f32>(-s, c);
  }
  if (quadrant == 2i) {
    return vec2<f32>(-c, -s);
  }
  return vec2<f32>(s, -c);
}

/** The angle in [0, π] of the point (x, y), y ≥ 0, within 3 ulp (Cephes atanf). */
fn atan2_f(y: f32, x: f32) -> f32 {
  let width = abs(x);
  let steep = y > width;
  let small = select(y, width, steep);
  let large = select(width, y, steep);
  // atan(a/b) = π/4 + atan((a − b)/(a + b)) where a/b > tan π/8.
  let wide = small > 0.4142135624 * large;
  let t = select(small, small - large, wide) / select(large, small + large, wide);
  let z = t * t;
  var p = fma(8.05374449538e-2, z, -1.38776856032e-1);
  p = fma(p, z, 1.99777106478e-1);
  p = fma(p, z, -3.33329491539e-1);
  p = fma(p * z, t, t) + select(0.0, 0.7853981634, wide);
  p = select(p, 1.5707963268 - p, steep);
  return select(p, 3.1415926536 - p, x < 0.0);
}

/** (e^{−x} I₀(x), I₁(x)/(x I₀(x))) for x ≥ 0; the ratio is ½ at zero. Both within 5 ulp. */
fn bessel0(x: f32) -> vec2<f32> {
  if (x < 6.0) {
    let u = x * x;
    var p = fma(1.458546773e-14, u, 2.074978624e-12);
    p = fma(p, u, 4.814768428e-10);
    p = fma(p, u, 6.762796467e-8);
    p = fma(p, u, 6.783590611e-6);
    p = fma(p, u, 4.34017505e-4);
    p = fma(p, u, 1.5625026e-2);
    p = fma(p, u, 2.499999767e-1);
    p = fma(p, u, 1.000000003);
    var q = fma(7.862470445e-16, u, 1.328909591e-13);
    q = fma(q, u, 3.421940946e-11);
    q = fma(q, u, 5.640409728e-9);
    q = fma(q, u, 6.782871531e-7);
    q = fma(q, u, 5.425277573e-5);
    q = fma(q, u, 2.60416863e-3);
    q = fma(q, u, 6.249999798e-2);
    q = fma(q, u, 5.000000003e-1);
    return vec2<f32>(exp_f(-x) * p, q / p);
  }
  let v = 1.0 / x;
  var p = fma(9.169608739e-1, v, 1.281111111e-1);
  p = fma(p, v, 8.357957306e-3);
  p = fma(p, v, 3.348364054e-2);
  p = fma(p, v, 2.786609649e-2);
  p = fma(p, v, 4.987050809e-2);
  p = fma(p, v, 3.98942274e-1);
  var r = fma(-6.025634888, v, 3.439170181e-1);
  r = fma(r, v, -2.124026998e-1);
  r = fma(r, v, -1.271660503e-1);
  r = fma(r, v, -1.249150856e-1);
  r = fma(r, v, -0.5);
  r = fma(r, v, 1.0);
  return vec2<f32>(p * sqrt(v), r * v);
}

/** e^{−x} I₁(x) for x ≥ 0. */
fn i1e(x: f32) -> f32 {
  let b = bessel0(x);
  return b.x * b.y * x;
}
