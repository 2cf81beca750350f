// Counter-based random numbers: the words of src/math/random.ts bit for bit (threefry2x32, 20 rounds;
// Salmon et al., SC 2011), and its normals up to rounding.

fn rotate_left(x: u32, r: u32) -> u32 {
  return (x << r) | (x >> (32u - r));
}

/** Four rounds of threefry with the given rotations. */
fn four_rounds(start: vec2<u32>, r: vec4<u32>) -> vec2<u32> {
  var x = start;
  for (var k = 0u; k < 4u; k++) {
    x.x += x.y;
    x.y = rotate_left(x.y, r[k]) ^ x.x;
  }
  return x;
}

/** One block: key (k0, k1), counter (c0, c1). */
fn threefry2x32(key: vec2<u32>, counter: vec2<u32>) -> vec2<u32> {
  let third = 0x1BD11BDAu ^ key.x ^ key.y;
  let even = vec4<u32>(13u, 15u, 26u, 6u);
  let odd = vec4<u32>(17u, 29u, 16u, 24u);
  var x = four_rounds(counter + key, even) + vec2<u32>(key.y, third + 1u);
  x = four_rounds(x, odd) + vec2<u32>(third, key.x + 2u);
  x = four_rounds(x, even) + vec2<u32>(key.x, key.y + 3u);
  x = four_rounds(x, odd) + vec2<u32>(key.y, third + 4u);
  return four_rounds(x, even) + vec2<u32>(third, key.x + 5u);
}

/**
 * √(−2 log u) of the uniform u = ((word >> 8) + ½)·2^-24. In f32 u itself would be rounded above ½,
 * which ruins log u near 1; the signed upper 24 bits give u, or u − 1, exactly.
 */
fn normal_radius(word: u32) -> f32 {
  let exact = (f32(bitcast<i32>(word) >> 8u) + 0.5) * 5.9604644775390625e-8;
  if (exact >= 0.0) {
    return sqrt(-2.0 * log_f(exact));
  }
  // u = 1 + exact is at least ½: below √½ its mantissa is 2u − 1 = 2(u − 1) + 1, exact as well.
  let u = exact + 1.0;
  let e = exponent_of(u);
  let f = select(exact, exact * 2.0 + 1.0, e == -1.0);
  return sqrt(-2.0 * log_of_parts(f, e));
}

/** The words of number `pair` of thriftyNormals (src/math/random.ts), for radius and angle. */
fn thrifty_words(key: vec2<u32>, sample: u32, first: u32, pair: u32) -> vec2<u32> {
  let counter = first + 2u * (pair / 3u);
  let ab = threefry2x32(key, vec2<u32>(sample, counter));
  let cd = threefry2x32(key, vec2<u32>(sample, counter + 1u));
  let place = pair % 3u;
  if (place == 0u) {
    return vec2<u32>(ab.x, (cd.y & 0xffff0000u) | 0x8000u);
  }
  if (place == 1u) {
    return vec2<u32>(ab.y, (cd.y << 16u) | 0x8000u);
  }
  return vec2<u32>(cd.x, (ab.x << 24u) | ((ab.y & 0xffu) << 16u) | 0x8000u);
}

/** Two standard normals (Box-Muller) of one counter: ρ cos 2πu₁ and ρ sin 2πu₁. */
fn normal_pair(key: vec2<u32>, counter: vec2<u32>) -> vec2<f32> {
  return normals_of_words(threefry2x32(key, counter));
}

/** The same of two words. */
fn normals_of_words(words: vec2<u32>) -> vec2<f32> {
  // The signed upper 24 bits are the angle in turns, less one turn above ½: the same angle.
  let turns = (f32(bitcast<i32>(words.y) >> 8u) + 0.5) * 5.9604644775390625e-8;
  return normal_radius(words.x) * cos_sin_turns(turns);
}
