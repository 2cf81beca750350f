/**
 * Counter-based random numbers: threefry2x32 with 20 rounds (Salmon et al., SC 2011; the Random123
 * library). A number is a pure function of (seed, stream, sample, counter), so results do not
 * depend on how samples are split among workers, lanes or devices. assembly/threefry.ts gives the
 * same words.
 */

/** What the numbers are for; streams with different purposes never overlap. */
export const Stream = {
  prior: 1,
  forward: 2,
  backward: 3,
  starts: 4,
  grid: 5,
  window: 6,
  network: 7,
  relabel: 8,
  mintBatch: 9,
  resample: 10,
  probe: 11,
  normaliser: 14,
  test: 15,
  pathForward: 16,
  pathBackward: 17,
  chain: 18,
  islandResample: 19,
  islandMove: 20,
  tune: 24,
  histogram: 25,
  mirror: 26,
} as const;
/** One of the streams. */
export type Stream = (typeof Stream)[keyof typeof Stream];

/** The two 32-bit key words of (seed, stream). `seed`: integer in [0, 2^53). */
export function streamKey(seed: number, stream: Stream): [number, number] {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new RangeError(`seed must be an integer from 0 to 2^53 - 1, got ${seed}`);
  }
  return [seed >>> 0, ((Math.floor(seed / 2 ** 32) & 0xffffff) ^ (stream << 24)) >>> 0];
}

const ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24];

/** One block of threefry2x32-20: key (k0, k1), counter (c0, c1), two words to `out`. */
export function threefry2x32(
  k0: number,
  k1: number,
  c0: number,
  c1: number,
  out: Uint32Array,
): void {
  const key = [k0 | 0, k1 | 0, (0x1BD11BDA ^ k0 ^ k1) | 0];
  let x0 = (c0 + key[0]) | 0;
  let x1 = (c1 + key[1]) | 0;
  for (let round = 0; round < 20; round++) {
    const r = ROTATIONS[round & 7];
    x0 = (x0 + x1) | 0;
    x1 = ((x1 << r) | (x1 >>> (32 - r))) ^ x0;
    if ((round & 3) === 3) {
      const j = (round >> 2) + 1;
      x0 = (x0 + key[j % 3]) | 0;
      x1 = (x1 + key[(j + 1) % 3] + j) | 0;
    }
  }
  out[0] = x0;
  out[1] = x1;
}

/** Uniform in (0, 1) from the upper 24 bits of a word: the middle of one of 2²⁴ equal intervals. */
export function uniformOfWord(word: number): number {
  return ((word >>> 8) + 0.5) * 2 ** -24;
}

const words = new Uint32Array(2);

/** Two normals of two words to out[at] and, where there is room, out[at + 1]. */
function boxMuller(out: Float64Array, at: number, radiusWord: number, angleWord: number): void {
  const radius = Math.sqrt(-2 * Math.log(uniformOfWord(radiusWord)));
  const angle = 2 * Math.PI * uniformOfWord(angleWord);
  out[at] = radius * Math.cos(angle);
  if (at + 1 < out.length) out[at + 1] = radius * Math.sin(angle);
}

/**
 * out.length standard normals of one sample (Box-Muller): pair p takes the words of counter
 * (sample, first + p); z_{2p} = ρ cos 2πu₁, z_{2p+1} = ρ sin 2πu₁, ρ = √(−2 log u₀).
 */
export function normals(
  out: Float64Array,
  key: readonly [number, number],
  sample: number,
  first: number,
): void {
  for (let p = 0; 2 * p < out.length; p++) {
    threefry2x32(key[0], key[1], sample, first + p, words);
    boxMuller(out, 2 * p, words[0], words[1]);
  }
}

const further = new Uint32Array(2);

/**
 * out.length standard normals, six of every two counters (sample, first + 2g) and (sample, first + 2g + 1)
 * where `normals` has four: the upper 24 bits of the first three of their words a, b, c, d are for radii, 16
 * bits for each angle, d's upper and lower half and the lowest eight of a and b. Angles of 16 bits are no
 * less: cosines and sines of equidistant angles have the moments of the circle up to order 2¹⁶, and radii
 * are as fine as those of `normals`. What a path spends most of its time on beside forces is its noise.
 */
export function thriftyNormals(
  out: Float64Array,
  key: readonly [number, number],
  sample: number,
  first: number,
): void {
  // Half of the lowest interval, as in uniformOfWord, but of 16 bits.
  const half = 0x8000;
  for (let at = 0; at < out.length; at += 6, first += 2) {
    threefry2x32(key[0], key[1], sample, first, words);
    threefry2x32(key[0], key[1], sample, first + 1, further);
    const [a, b] = words;
    const [c, d] = further;
    boxMuller(out, at, a, (d & 0xffff0000) | half);
    if (at + 2 < out.length) boxMuller(out, at + 2, b, (d << 16) | half);
    if (at + 4 < out.length) boxMuller(out, at + 4, c, (a << 24) | ((b & 0xff) << 16) | half);
  }
}

/** Sequential numbers of one sample, for samplers that take as many as they need (rejection). */
export class RandomStream {
  readonly #key: readonly [number, number];
  readonly #sample: number;
  readonly #words = new Uint32Array(2);
  #counter: number;
  #half = false;
  #spare = NaN;

  constructor(seed: number, stream: Stream, sample: number, firstCounter = 0) {
    this.#key = streamKey(seed, stream);
    this.#sample = sample;
    this.#counter = firstCounter;
  }

  /** The next 32-bit word. */
  word(): number {
    if (this.#half) {
      this.#half = false;
      return this.#words[1];
    }
    threefry2x32(this.#key[0], this.#key[1], this.#sample, this.#counter++, this.#words);
    this.#half = true;
    return this.#words[0];
  }

  /** Uniform in (0, 1), 53 bits. */
  uniform(): number {
    const high = this.word() >>> 5;
    const low = this.word() >>> 6;
    return (high * 2 ** 26 + low + 0.5) * 2 ** -53;
  }

  /** Integer in [0, bound), without bias beyond 2^-53. */
  integer(bound: number): number {
    return Math.min(bound - 1, Math.floor(this.uniform() * bound));
  }

  /** Standard normal. */
  normal(): number {
    if (!Number.isNaN(this.#spare)) {
      const spare = this.#spare;
      this.#spare = NaN;
      return spare;
    }
    const radius = Math.sqrt(-2 * Math.log(this.uniform()));
    const angle = 2 * Math.PI * this.uniform();
    this.#spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }
}
