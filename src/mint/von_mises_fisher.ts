/** The von Mises-Fisher distribution exp(κ μ·θ) on the circle and the sphere. */
import type { RandomStream } from "../math/random.ts";
import { i0e, i1e } from "../math/special.ts";

/** log of the normalising factor: log c_n(κ), density c_n(κ) exp(κ μ·θ). κ > 0. */
export function logVmfConstant(kappa: number, n: 2 | 3): number {
  if (n === 2) return -Math.log(2 * Math.PI * i0e(kappa)) - kappa;
  return Math.log(kappa / (-2 * Math.PI * Math.expm1(-2 * kappa))) - kappa;
}

/** Mean of μ·θ, −∂log c_n/∂κ. */
export function vmfMeanCosine(kappa: number, n: 2 | 3): number {
  if (n === 2) return i1e(kappa) / i0e(kappa);
  if (kappa < 0.1) {
    const q = kappa * kappa;
    return kappa * (1 / 3 - q * (1 / 45 - q * (2 / 945 - q / 4725)));
  }
  return 1 / Math.tanh(kappa) - 1 / kappa;
}

/** A draw about the unit vector at mu[at...]; written to the same place of `out`. */
export function drawVmf(
  random: RandomStream,
  mu: Float64Array,
  at: number,
  kappa: number,
  n: 2 | 3,
  out: Float64Array,
): void {
  if (n === 2) {
    const angle = drawVonMisesAngle(random, kappa);
    const [c, s] = [Math.cos(angle), Math.sin(angle)];
    out[at] = c * mu[at] - s * mu[at + 1];
    out[at + 1] = s * mu[at] + c * mu[at + 1];
    return;
  }
  // Closed form of the cosine w on the sphere; 1 − w is kept, for precision at large κ.
  const rest = -Math.log1p(random.uniform() * Math.expm1(-2 * kappa)) / kappa;
  const sine = Math.sqrt(Math.max(0, rest * (2 - rest)));
  const tangent = [0, 0, 0];
  let square = 0;
  while (square < 1e-20) {
    let along = 0;
    for (let d = 0; d < 3; d++) along += (tangent[d] = random.normal()) * mu[at + d];
    square = 0;
    for (let d = 0; d < 3; d++) square += (tangent[d] -= along * mu[at + d]) ** 2;
  }
  const scale = sine / Math.sqrt(square);
  for (let d = 0; d < 3; d++) out[at + d] = (1 - rest) * mu[at + d] + scale * tangent[d];
}

/**
 * Best and Fisher (1979): rejection from a wrapped Cauchy, here in terms of r − 1 and 1 − cos, so
 * that it stays exact at large κ.
 */
function drawVonMisesAngle(random: RandomStream, kappa: number): number {
  let above: number; // r − 1
  if (kappa < 1e-5) {
    above = 1 / kappa + kappa - 1;
  } else {
    const tau = 1 + Math.sqrt(1 + 4 * kappa * kappa);
    const rho = (tau - Math.sqrt(2 * tau)) / (2 * kappa);
    above = (1 - rho) ** 2 / (2 * rho);
  }
  for (;;) {
    const z = Math.cos(Math.PI * random.uniform());
    const versine = above * (1 - z) / (1 + above + z);
    const c = kappa * (above + versine);
    const u = random.uniform();
    if (c * (2 - c) > u || Math.log(c / u) + 1 - c >= 0) {
      const angle = 2 * Math.asin(Math.min(1, Math.sqrt(0.5 * versine)));
      return random.uniform() < 0.5 ? -angle : angle;
    }
  }
}

/** A Haar-distributed orthogonal matrix, rotations and reflections alike, row-major. */
export function drawOrthogonal(random: RandomStream, n: 2 | 3, out: Float64Array): void {
  const sign = random.uniform() < 0.5 ? -1 : 1;
  if (n === 2) {
    const angle = 2 * Math.PI * random.uniform();
    const [c, s] = [Math.cos(angle), Math.sin(angle)];
    out[0] = c, out[1] = -s * sign, out[2] = s, out[3] = c * sign;
    return;
  }
  let [w, x, y, z] = [random.normal(), random.normal(), random.normal(), random.normal()];
  const norm = Math.hypot(w, x, y, z);
  w /= norm, x /= norm, y /= norm, z /= norm;
  out[0] = sign * (1 - 2 * (y * y + z * z));
  out[1] = sign * 2 * (x * y - w * z);
  out[2] = sign * 2 * (x * z + w * y);
  out[3] = sign * 2 * (x * y + w * z);
  out[4] = sign * (1 - 2 * (x * x + z * z));
  out[5] = sign * 2 * (y * z - w * x);
  out[6] = sign * 2 * (x * z - w * y);
  out[7] = sign * 2 * (y * z + w * x);
  out[8] = sign * (1 - 2 * (x * x + y * y));
}
