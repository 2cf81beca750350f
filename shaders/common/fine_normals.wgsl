// The normals of threefry.wgsl in two floats, within 3e-8 where those are within 1e-6.

/** log u of the uniform u = ((word >> 8) + ½)·2^-24. */
fn fine_log_uniform(word: u32) -> vec2<f32> {
  // u, or u − 1, exactly; see normal_radius.
  let exact = (f32(bitcast<i32>(word) >> 8u) + 0.5) * 5.9604644775390625e-8;
  let u = select(exact + 1.0, exact, exact >= 0.0);
  let e = exponent_of(u);
  var f = select(exact, exact * 2.0 + 1.0, e == -1.0);
  if (exact >= 0.0) {
    f = mantissa_minus_one(exact);
  }
  // log(1 + f) = f − ½f² + f³P(f).
  var p = fma(-5.5417575e-2, f, 1.0446439e-1);
  p = fma(p, f, -1.0958724e-1);
  p = fma(p, f, 1.10947385e-1);
  p = fma(p, f, -1.2408659e-1);
  p = fma(p, f, 1.4278764e-1);
  p = fma(p, f, -1.6670163e-1);
  p = fma(p, f, 2.0000368e-1);
  p = fma(p, f, -2.4999954e-1);
  p = fma(p, f, 3.3333328e-1);
  let square = two_product(f, f);
  let start = two_sum(e * 0.693359375, f);
  let sum = two_sum(start.x, -0.5 * square.x);
  let small = fma(e, -2.12194440e-4, fma(p * f, square.x, -0.5 * square.y));
  return two_sum(sum.x, start.y + sum.y + small);
}

/** cos 2πu and sin 2πu for |u| ≤ ½: high parts, low parts. */
fn fine_cos_sin_turns(u: f32) -> vec4<f32> {
  let n = round(u * 4.0);
  let r = fma(-n, 0.25, u);
  let square = two_product(r, r);
  let r2 = square.x;
  // sin 2πr = 2πr + r³S(r²).
  var s = fma(40.94043, r2, -76.67983);
  s = fma(s, r2, 81.60501);
  s = fma(s, r2, -41.3417);
  let turn = two_product(6.2831855, r);
  let sine = two_sum(turn.x, s * r2 * r);
  let sine_low = sine.y + fma(-1.7484556e-7, r, turn.y);
  // cos 2πr = 1 − 2π²r² + r⁴C(r²).
  var c = fma(-24.8006, r2, 60.194);
  c = fma(c, r2, -85.45627);
  c = fma(c, r2, 64.93939);
  let bend = two_product(19.739208, r2);
  let start = two_sum(1.0, -bend.x);
  let cosine = two_sum(start.x, c * r2 * r2);
  let cosine_low = cosine.y + start.y - fma(19.739208, square.y, fma(5.8074317e-7, r2, bend.y));
  let even = vec4<f32>(cosine.x, sine.x, cosine_low, sine_low);
  let odd = vec4<f32>(-sine.x, cosine.x, -sine_low, cosine_low);
  let quadrant = i32(n) & 3i;
  let turned = select(even, odd, (quadrant & 1i) == 1i);
  return select(turned, -turned, quadrant >= 2i);
}

/** The normals of normal_pair: high parts, low parts. */
fn fine_normal_pair(key: vec2<u32>, counter: vec2<u32>) -> vec4<f32> {
  return fine_normals_of_words(threefry2x32(key, counter));
}

/** Those of normals_of_words. */
fn fine_normals_of_words(words: vec2<u32>) -> vec4<f32> {
  let square = -2.0 * fine_log_uniform(words.x);
  let root = sqrt(square.x);
  let again = two_product(root, root);
  let rest = ((square.x - again.x) - again.y + square.y) / (2.0 * root);
  let turns = (f32(bitcast<i32>(words.y) >> 8u) + 0.5) * 5.9604644775390625e-8;
  let angle = fine_cos_sin_turns(turns);
  let x = two_product(root, angle.x);
  let y = two_product(root, angle.y);
  let low = fma(vec2<f32>(root), angle.zw, fma(vec2<f32>(rest), angle.xy, vec2<f32>(x.y, y.y)));
  return vec4<f32>(x.x, y.x, low);
}
