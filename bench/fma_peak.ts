/**
 * The ceiling of one core at 128-bit width: independent fused multiply-adds held in registers, in a
 * module written out by hand so that no compiler stands between. Kernels are reported as a fraction
 * of it.
 */

/** Accumulators: enough to cover the latency of two FMA pipes, few enough to stay in registers. */
const ACCUMULATORS = 12;
const UNROLL = 4;

const unsigned = (value: number): number[] =>
  value < 128 ? [value] : [(value & 127) | 128, ...unsigned(value >>> 7)];
const section = (id: number, body: number[]) => [id, ...unsigned(body.length), ...body];

/** (iterations: i32) -> f32, with ACCUMULATORS·UNROLL f32x4 multiply-adds in each iteration. */
function peakModule(): Uint8Array<ArrayBuffer> {
  const factor = 1 + ACCUMULATORS, addend = factor + 1;
  const get = (k: number) => [0x20, ...unsigned(k)];
  const set = (k: number) => [0x21, ...unsigned(k)];
  // v128 from a run-time number, so that nothing is a constant: i32 -> f32 -> splat.
  const splat = [...get(0), 0xb2, 0xfd, 0x13];
  const body: number[] = [];
  for (let k = 1; k <= addend; k++) body.push(...splat, ...set(k));
  body.push(0x03, 0x40); // loop
  for (let u = 0; u < UNROLL; u++) {
    for (let k = 1; k <= ACCUMULATORS; k++) {
      // f32x4.relaxed_madd
      body.push(...get(factor), ...get(addend), ...get(k), 0xfd, ...unsigned(0x105), ...set(k));
    }
  }
  body.push(...get(0), 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b); // local 0 −= 1; br_if; end
  body.push(...get(1));
  for (let k = 2; k <= ACCUMULATORS; k++) body.push(...get(k), 0xfd, ...unsigned(0xe4)); // f32x4.add
  body.push(0xfd, 0x1f, 0, 0x0b); // f32x4.extract_lane 0; end
  const code = [1, ...unsigned(addend), 0x7b, ...body];
  return new Uint8Array([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, 0x60, 1, 0x7f, 1, 0x7d]),
    ...section(3, [1, 0]),
    ...section(7, [1, 4, ...new TextEncoder().encode("peak"), 0, 0]),
    ...section(10, [1, ...unsigned(code.length), ...code]),
  ]);
}

/** Returns a function that runs about `gigaflop`·10⁹ operations; null without relaxed SIMD. */
export function fmaPeak(gigaflop: number): { run: () => number; flop: number } | null {
  const bytes = peakModule();
  if (!WebAssembly.validate(bytes)) return null;
  const { peak } = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports;
  const perIteration = ACCUMULATORS * UNROLL * 8;
  const iterations = Math.ceil(gigaflop * 1e9 / perIteration);
  const run = peak as (iterations: number) => number;
  return { run: () => run(iterations), flop: iterations * perIteration };
}
