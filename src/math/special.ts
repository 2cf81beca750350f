/** Special functions in float64: scaled modified Bessel functions and sums of exponentials. */

/** Below this the power series is summed, above it the asymptotic one (its error there: e^-50). */
const SERIES_LIMIT = 25;

/**
 * e^{-x} I_order(x) for order 0 or 1 and x ≥ 0 (odd order: the sign of x is put back).
 * Relative error below 2e-15. DLMF 10.25.2 (power series) and 10.40.1 (asymptotic series).
 */
function scaledBessel(order: 0 | 1, x: number): number {
  const a = Math.abs(x);
  let value: number;
  if (a < SERIES_LIMIT) {
    const q = 0.25 * a * a;
    let term = order === 0 ? 1 : 0.5 * a;
    let sum = term;
    for (let k = 1; term > 1e-17 * sum; k++) {
      term *= q / (k * (k + order));
      sum += term;
    }
    value = sum * Math.exp(-a);
  } else {
    const mu = 4 * order * order;
    let term = 1;
    let sum = 1;
    for (let k = 1; k < 50 && Math.abs(term) > 1e-17; k++) {
      term *= -(mu - (2 * k - 1) ** 2) / (8 * k * a);
      sum += term;
    }
    value = sum / Math.sqrt(2 * Math.PI * a);
  }
  return order === 1 && x < 0 ? -value : value;
}

/** e^{-|x|} I₀(x), relative error below 2e-15. NaN for NaN, 0 at infinity. */
export function i0e(x: number): number {
  return scaledBessel(0, x);
}

/** e^{-|x|} I₁(x), relative error below 2e-15; odd in x. */
export function i1e(x: number): number {
  return scaledBessel(1, x);
}

/** log(e^a + e^b) without overflow; −∞ when both are. */
export function logAddExp(a: number, b: number): number {
  const high = a > b ? a : b;
  if (high === -Infinity) return -Infinity;
  return high + Math.log1p(Math.exp((a > b ? b : a) - high));
}

/** log Σ e^{v}; −∞ for an empty list, NaN where a value is NaN. */
export function logSumExp(values: ArrayLike<number>): number {
  let high = -Infinity;
  for (let i = 0; i < values.length; i++) {
    if (Number.isNaN(values[i])) return NaN;
    if (values[i] > high) high = values[i];
  }
  if (high === -Infinity || high === Infinity) return high;
  let sum = 0;
  for (let i = 0; i < values.length; i++) {
    // Below, the term is less than 1e-21 of the sum.
    if (values[i] > high - 50) sum += Math.exp(values[i] - high);
  }
  return high + Math.log(sum);
}

/** Nodes and weights of Gauss-Legendre quadrature of `count` points on [0, 1]. */
export function gaussLegendre(count: number): { nodes: Float64Array; weights: Float64Array } {
  const nodes = new Float64Array(count);
  const weights = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    let x = Math.cos(Math.PI * (i + 0.75) / (count + 0.5));
    let slope = 1;
    for (let iteration = 0; iteration < 100; iteration++) {
      let previous = 1;
      let value = x;
      for (let k = 2; k <= count; k++) {
        [previous, value] = [value, ((2 * k - 1) * x * value - (k - 1) * previous) / k];
      }
      slope = count * (x * value - previous) / (x * x - 1);
      const step = value / slope;
      x -= step;
      if (Math.abs(step) < 1e-15) break;
    }
    nodes[count - 1 - i] = 0.5 * (1 + x);
    weights[count - 1 - i] = 1 / ((1 - x * x) * slope * slope);
  }
  return { nodes, weights };
}
