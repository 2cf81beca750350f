// Numbers as an unevaluated sum of two floats, high + low: about twice the digits.

/** x, but the compiler cannot see that: it may rearrange sums, which is the end of two floats. */
fn opaque(x: f32) -> f32 {
  return bitcast<f32>(bitcast<u32>(x) ^ job.zero);
}

/** a + b, whichever is the larger (Knuth). */
fn two_sum(a: f32, b: f32) -> vec2<f32> {
  let sum = opaque(a + b);
  let part = opaque(sum - a);
  return vec2<f32>(sum, (a - opaque(sum - part)) + (b - part));
}

/** x without its lower twelve bits: products of two such numbers are exact. */
fn upper_bits(x: f32) -> f32 {
  return bitcast<f32>(bitcast<u32>(x) & 0xfffff000u);
}

/** a·b (Dekker). */
fn two_product(a: f32, b: f32) -> vec2<f32> {
  let product = opaque(a * b);
  let p = upper_bits(a);
  let q = upper_bits(b);
  let low = fma(a - p, b - q, fma(p, b - q, fma(a - p, q, p * q - product)));
  return vec2<f32>(product, low);
}

/** a·b of numbers in two floats. */
fn times(a: vec2<f32>, b: vec2<f32>) -> vec2<f32> {
  let product = two_product(a.x, b.x);
  return vec2<f32>(product.x, fma(a.x, b.y, fma(a.y, b.x, product.y)));
}
