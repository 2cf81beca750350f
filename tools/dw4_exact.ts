/**
 * Exact numbers of DW-4 by numerical quadrature, independent of the rest of the program.
 *
 * Usage: deno run tools/dw4_exact.ts
 *
 * Four particles in the plane, U = Σ_{i<j} u(|x_i − x_j|), u(d) = −4(d − 4)² + 0.9(d − 4)⁴. With
 * particle 0 at the origin and particle 1 at (r, 0),
 *
 *   Z = ∫ 2πr e^{−u(r)} S(r) dr,   S(r) = ∫∫ f(c) e^{−u(|c − d|)} f(d) dc dd,
 *   f(c) = e^{−u(|c|) − u(|c − (r, 0)|)}.
 *
 * On a periodic G×G grid S = Σ_k K̂(k) |f̂(k)|² / G² (times cell area squared): one fast Fourier
 * transform for each r. All integrands are smooth and vanish at the ends, so the trapezoid rule
 * converges faster than any power. All pairs are alike, so E[U] = 6⟨u(r)⟩ and the mean pair
 * distance is ⟨r⟩. Two grids that share no points show the error.
 */

const pairEnergy = (d: number) => -4 * (d - 4) ** 2 + 0.9 * (d - 4) ** 4;
const PAIR_MINIMUM = -40 / 9; // of u, taken off six times so that nothing overflows

const boltzmann = (d: number) => Math.exp(PAIR_MINIMUM - pairEnergy(d));

/** In-place radix-2 transform of `n` complex numbers, `stride` apart from `offset`. */
function fft(
  re: Float64Array,
  im: Float64Array,
  n: number,
  offset = 0,
  stride = 1,
): void {
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      const [a, b] = [offset + i * stride, offset + j * stride];
      [re[a], re[b]] = [re[b], re[a]];
      [im[a], im[b]] = [im[b], im[a]];
    }
  }
  for (let half = 1; half < n; half *= 2) {
    for (let k = 0; k < half; k++) {
      const angle = -Math.PI * k / half;
      const [c, s] = [Math.cos(angle), Math.sin(angle)];
      for (let i = k; i < n; i += 2 * half) {
        const [a, b] = [offset + i * stride, offset + (i + half) * stride];
        const x = re[b] * c - im[b] * s;
        const y = re[b] * s + im[b] * c;
        re[b] = re[a] - x;
        im[b] = im[a] - y;
        re[a] += x;
        im[a] += y;
      }
    }
  }
}

function fft2(re: Float64Array, im: Float64Array, G: number): void {
  for (let row = 0; row < G; row++) fft(re, im, G, row * G);
  for (let column = 0; column < G; column++) fft(re, im, G, column, G);
}

export interface Quadrature {
  /** Anchored: ∫ over the three other particles. */
  logZ: number;
  meanEnergy: number;
  meanPairDistance: number;
}

/**
 * @param G grid points along each axis of the box, a power of two
 * @param box its side; |c|, |d| and |c − d| stay below 7 where anything is left, so images are apart from 21 on
 * @param points of r on (0, 10), midpoints
 */
export function quadrature({ G, box, points }: { G: number; box: number; points: number }) {
  const h = box / G;
  const coordinate = (i: number) => (i < G / 2 ? i : i - G) * h;
  const atOrigin = new Float64Array(G * G);
  for (let i = 0; i < G; i++) {
    for (let j = 0; j < G; j++) {
      atOrigin[i * G + j] = boltzmann(Math.hypot(coordinate(i), coordinate(j)));
    }
  }
  const kernel = atOrigin.slice(); // even, so its transform is real
  fft2(kernel, new Float64Array(G * G), G);

  const dr = 10 / points;
  const re = new Float64Array(G * G), im = new Float64Array(G * G);
  let Z = 0, distance = 0, energy = 0;
  for (let p = 0; p < points; p++) {
    const r = (p + 0.5) * dr;
    const weight = 2 * Math.PI * r * boltzmann(r) * dr;
    if (weight < 1e-30) continue;
    for (let i = 0; i < G; i++) {
      for (let j = 0; j < G; j++) {
        const near = atOrigin[i * G + j];
        re[i * G + j] = near < 1e-40
          ? 0
          : near * boltzmann(Math.hypot(coordinate(i) - r, coordinate(j)));
      }
    }
    im.fill(0);
    fft2(re, im, G);
    let S = 0;
    for (let k = 0; k < G * G; k++) S += kernel[k] * (re[k] ** 2 + im[k] ** 2);
    const density = weight * S * h ** 4 / (G * G);
    const u = pairEnergy(r);
    Z += density;
    distance += density * r;
    energy += density * u;
  }
  return {
    logZ: Math.log(Z) - 6 * PAIR_MINIMUM,
    meanEnergy: 6 * energy / Z,
    meanPairDistance: distance / Z,
  } satisfies Quadrature;
}

if (import.meta.main) {
  const grids = [{ G: 256, box: 27, points: 300 }, { G: 256, box: 24, points: 340 }];
  const results = grids.map(quadrature);
  const row = (name: string, key: keyof Quadrature) => {
    const [a, b] = results.map((result) => result[key]);
    console.log(
      `${name.padEnd(20)} ${b.toFixed(12)}   grids differ by ${Math.abs(a - b).toExponential(1)}`,
    );
  };
  console.log("DW-4, particle 0 at the origin, energies in kT");
  row("log Z", "logZ");
  row("E[U]", "meanEnergy");
  row("mean pair distance", "meanPairDistance");
}
