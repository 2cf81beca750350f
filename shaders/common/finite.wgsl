// Numbers that are not finite, told by their bits: compilers may assume that there are none.

/** The largest f32. */
const LARGEST: f32 = 3.4028234e38;

fn is_finite(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u;
}
