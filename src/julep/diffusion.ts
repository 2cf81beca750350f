/**
 * The comparators: a diffusion with a learned control, in place of Julep's kernels. A reference
 * process without control starts from the prior N(0, s²) (centre-of-mass-free) and is solved exactly
 * over every step h = εΔ, backwards too, so that nothing but the control is discretised:
 *
 *   k⁺(x'|x) = N( a⁺x + h u(x, t), σ⁺² ),   k⁻(x|x') = N( a⁻x', σ⁻² )
 *
 *   dds: Ornstein-Uhlenbeck, keeps the prior (Vargas, Grathwohl and Doucet, "Denoising diffusion
 *        samplers", 2023): a± = e^{−h/s²}, σ±² = s² (1 − a²);
 *   pis: Brownian motion (Zhang and Chen, "Path integral sampler", 2022), from a Gaussian where theirs
 *        starts from a point: with v_i = s² + 2 Σ_{j<i} h_j, a⁺ = 1, σ⁺² = 2h, a⁻ = v_i / v_{i+1},
 *        σ⁻² = 2h v_i / v_{i+1}.
 *
 * The control is u = β(t) b(x, t) + 2 (1 + g(x, t)) S(x, t): b the network's equivariant output, g its
 * invariant one (both start at zero), S a force of the target. The optimal control is 2∇ log of p/q
 * smoothed by the noise that is still to come, where q = N(0, 1/c) is the reference process's end and
 * a x + N(0, v) where x would end without control. S is what is left of that with the integral taken at
 * its largest term, found by K steps of descent from y_0 = a x:
 *
 *   y ← y − η (∇U(y) − c y + (y − a x)/v),  η = 1/(1/v + λ),  S = a (y_K − a x)/v
 *
 * U softened at t < 1 and ∇U clipped. K = 1 is −∇U + c x, as in both papers, held back by 1/(1 + λv)
 * while much noise is to come; more steps hold every direction back by its own stiffness (below λ).
 * β = 1/√(v + 1/λ) is the size of such a score, so that the network's outputs are of order one at all
 * times. Without targetForce u = β b.
 * For any u, E[e^W] = Z with the path weight of every other method here.
 */
import type { DiffusionConfig } from "../config/config.ts";
import { stepSizes } from "./schedule.ts";

/**
 * S is differentiated, where the gradient through a path needs it, by central differences: half the
 * distance between the two points, in the system's lengths. Up to the clip S is a gradient where descent
 * has converged, and its Jacobian symmetric.
 */
export const DIFFERENCE = 1 / 128;

/** The numbers of every step i = 0 … T − 1; what both kernels of the step need beside the control. */
export interface DiffusionSteps {
  /** a⁺ − 1 and a⁻ − 1. */
  readonly pullForward: Float64Array;
  readonly pullBackward: Float64Array;
  /** σ⁺ and σ⁻. */
  readonly sigmaForward: Float64Array;
  readonly sigmaBackward: Float64Array;
  /** h and β. */
  readonly control: Float64Array;
  readonly scale: Float64Array;
  /** a, 1/v and η. */
  readonly decay: Float64Array;
  readonly precision: Float64Array;
  readonly descent: Float64Array;
  /** c. */
  readonly attraction: number;
}

/**
 * @param logStepSize knots of log ε
 * @param priorScale s of the prior
 */
export function diffusionSteps(
  { kind, stiffness }: Pick<DiffusionConfig, "kind" | "stiffness">,
  logStepSize: Float64Array,
  times: Float64Array,
  priorScale: number,
): DiffusionSteps {
  const T = times.length - 1;
  const control = stepSizes(logStepSize, times).map((eps, i) => eps * (times[i + 1] - times[i]));
  const all = control.reduce((sum, h) => sum + h, 0);
  const end = kind === "dds" ? priorScale ** 2 : priorScale ** 2 + 2 * all;
  const out: DiffusionSteps = {
    pullForward: new Float64Array(T),
    pullBackward: new Float64Array(T),
    sigmaForward: new Float64Array(T),
    sigmaBackward: new Float64Array(T),
    control,
    scale: new Float64Array(T),
    decay: new Float64Array(T).fill(1),
    precision: new Float64Array(T),
    descent: new Float64Array(T),
    attraction: 1 / end,
  };
  let remaining = all;
  let spread = priorScale ** 2;
  for (let i = 0; i < T; i++) {
    const h = control[i];
    const v = kind === "dds" ? -end * Math.expm1(-2 * remaining / end) : 2 * remaining;
    if (kind === "dds") out.decay[i] = Math.exp(-remaining / end);
    out.precision[i] = 1 / v;
    out.descent[i] = 1 / (1 / v + stiffness);
    out.scale[i] = stiffness > 0 ? 1 / Math.sqrt(v + 1 / stiffness) : 1;
    // Never below zero by rounding.
    remaining = i === T - 2 ? control[T - 1] : remaining - h;
    if (kind === "dds") {
      const rate = h / priorScale ** 2;
      out.pullForward[i] = out.pullBackward[i] = Math.expm1(-rate);
      out.sigmaForward[i] = out.sigmaBackward[i] = priorScale *
        Math.sqrt(-Math.expm1(-2 * rate));
    } else {
      const next = spread + 2 * h;
      out.pullBackward[i] = -2 * h / next;
      out.sigmaForward[i] = Math.sqrt(2 * h);
      out.sigmaBackward[i] = Math.sqrt(2 * h * spread / next);
      spread = next;
    }
  }
  return out;
}

/**
 * log ε at `knots` equally spaced times: ε(t) = initial · final^t. Geometric, so that every step takes
 * about the same share of the noise still to come; with the usual cos² the last steps take 3/k of it,
 * k steps from the end.
 */
export function fallingStepSize(knots: number, initial: number, final: number): Float64Array {
  return Float64Array.from({ length: knots }, (_, k) => {
    const t = knots === 1 ? 0 : k / (knots - 1);
    return Math.log(initial) + t * Math.log(final);
  });
}
