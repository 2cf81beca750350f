/**
 * Generalised Born solvation of Onufriev, Bashford and Case (2004) with a surface-area term, all
 * pairs, no cutoff: kJ/mol, float64.
 *
 *   ρ̃_i = ρ_i − 0.009 nm, s_j = S_j ρ̃_j
 *   I_i = ½ Σ_j [1/L − 1/U + ¼ (r − s²/r)(1/U² − 1/L²) + ½ log(L/U)/r], U = r + s_j, L = max(ρ̃_i, |r − s_j|)
 *   ψ = I_i ρ̃_i,  1/B_i = 1/ρ̃_i − tanh(αψ − βψ² + γψ³)/ρ_i
 *   E = Σ_i [4π σ (ρ_i + 0.14)² (ρ_i/B_i)⁶ − ½ κ q_i²/B_i] − Σ_{i<j} κ q_i q_j/f
 *   f² = r² + B_i B_j exp(−r²/(4 B_i B_j)),  κ = (1/ε_in − 1/ε_out)/(4πε₀)
 *
 * obc1: α, β, γ = 0.8, 0, 2.909125; obc2: 1, 0.8, 4.85. Where atom i lies inside the sphere of j
 * (s_j − r > ρ̃_i: nearer than any real pair of atoms), obc2 adds 1/ρ̃_i − 1/L to I_i, as OpenMM's
 * GBSAOBCForce does and its OBC1 does not.
 */
import type { BornData } from "../../config/force_field.ts";
import type { Vector } from "./geometry.ts";
import { BORN_OFFSET, COULOMB, OBC1_COULOMB, PROBE_RADIUS } from "./units.ts";

export type BornModel = "obc1" | "obc2";

/** [α, β, γ] of a model. */
export const BORN_COEFFICIENTS: Record<BornModel, readonly [number, number, number]> = {
  obc1: [0.8, 0, 2.909125],
  obc2: [1, 0.8, 4.85],
};

/** κ, kJ/mol nm/e². */
export function bornCoulomb(model: BornModel, data: BornData): number {
  const constant = model === "obc1" ? OBC1_COULOMB : COULOMB;
  return constant * (1 / data.soluteDielectric - 1 / data.solventDielectric);
}

export class ObcSolvation {
  readonly #model: BornModel;
  readonly #charges: readonly number[];
  readonly #radii: readonly number[];
  readonly #kappa: number;
  /** 4π σ (ρ + 0.14)². */
  readonly #area: Float64Array;
  /** ρ̃ and s. */
  readonly #offset: Float64Array;
  readonly #screened: Float64Array;
  /** B, ∂B/∂I and ∂E/∂B of the configuration at hand. */
  readonly #born: Float64Array;
  readonly #byIntegral: Float64Array;
  readonly #byBorn: Float64Array;

  constructor(model: BornModel, charges: readonly number[], data: BornData) {
    const N = charges.length;
    this.#model = model;
    this.#charges = charges;
    this.#radii = data.radii;
    this.#kappa = bornCoulomb(model, data);
    this.#area = Float64Array.from(
      data.radii,
      (r) => 4 * Math.PI * data.surfaceTension * (r + PROBE_RADIUS) ** 2,
    );
    this.#offset = Float64Array.from(data.radii, (r) => r - BORN_OFFSET);
    this.#screened = this.#offset.map((r, i) => r * data.screens[i]);
    this.#born = new Float64Array(N);
    this.#byIntegral = new Float64Array(N);
    this.#byBorn = new Float64Array(N);
  }

  /** The energy, products of charges scaled by a factor; adds its gradient. */
  energy(x: Vector, gradient: Vector | null, charges = 1): number {
    this.#bornRadii(x);
    const N = this.#born.length;
    const B = this.#born, q = this.#charges, kappa = charges * this.#kappa, byBorn = this.#byBorn;
    let energy = 0;
    for (let i = 0; i < N; i++) {
      const area = this.#area[i] * (this.#radii[i] / B[i]) ** 6;
      const self = 0.5 * kappa * q[i] * q[i] / B[i];
      energy += area - self;
      byBorn[i] = (self - 6 * area) / B[i];
    }
    for (let i = 0; i < N; i++) {
      for (let j = i + 1; j < N; j++) {
        const r2 = squaredDistance(x, i, j);
        const product = B[i] * B[j];
        const decay = Math.exp(-r2 / (4 * product));
        const f2 = r2 + product * decay;
        const pair = kappa * q[i] * q[j] / Math.sqrt(f2);
        energy -= pair;
        if (!gradient) continue;
        const bySquare = 0.5 * pair / f2; // ∂E/∂f²
        const common = bySquare * decay * (1 + r2 / (4 * product));
        byBorn[i] += common * B[j];
        byBorn[j] += common * B[i];
        addAlong(x, gradient, i, j, 2 * bySquare * (1 - decay / 4));
      }
    }
    if (gradient) this.#addChain(x, gradient);
    return energy;
  }

  /** Effective Born radii B and ∂B/∂I. */
  #bornRadii(x: Vector): void {
    const N = this.#born.length;
    const [alpha, beta, gamma] = BORN_COEFFICIENTS[this.#model];
    for (let i = 0; i < N; i++) {
      const offset = this.#offset[i];
      let integral = 0;
      for (let j = 0; j < N; j++) {
        if (j !== i) integral += this.#descreening(Math.sqrt(squaredDistance(x, i, j)), i, j);
      }
      const psi = integral * offset;
      const tanh = Math.tanh(psi * (alpha - psi * (beta - psi * gamma)));
      const slope = (1 - tanh * tanh) * (alpha - psi * (2 * beta - 3 * psi * gamma)) * offset;
      const B = 1 / (1 / offset - tanh / this.#radii[i]);
      this.#born[i] = B;
      this.#byIntegral[i] = B * B * slope / this.#radii[i];
    }
  }

  /** What atom j at distance r adds to I_i. */
  #descreening(r: number, i: number, j: number): number {
    const offset = this.#offset[i], s = this.#screened[j];
    const U = r + s;
    if (U <= offset) return 0;
    const L = Math.max(offset, Math.abs(r - s));
    const inside = this.#model === "obc2" && s - r > offset ? 1 / offset - 1 / L : 0;
    return inside +
      0.5 *
        (1 / L - 1 / U + 0.25 * (r - s * s / r) * (1 / (U * U) - 1 / (L * L)) +
          0.5 * Math.log(L / U) / r);
  }

  /** Its derivative by r: those by U and L cancel, but for atoms inside one another in obc1. */
  #descreeningSlope(r: number, i: number, j: number): number {
    const offset = this.#offset[i], s = this.#screened[j];
    const U = r + s;
    if (U <= offset) return 0;
    const L = Math.max(offset, Math.abs(r - s));
    const inside = this.#model === "obc1" && s - r > offset ? 1 / (L * L) : 0;
    return inside +
      0.125 * (1 + s * s / (r * r)) * (1 / (U * U) - 1 / (L * L)) -
      0.25 * Math.log(L / U) / (r * r);
  }

  /** The gradient through the Born radii: Σ_i ∂E/∂B_i ∂B_i/∂I_i ∂I_i/∂x. */
  #addChain(x: Vector, gradient: Vector): void {
    const N = this.#born.length;
    for (let i = 0; i < N; i++) {
      const outer = this.#byBorn[i] * this.#byIntegral[i];
      for (let j = 0; j < N; j++) {
        if (j === i) continue;
        const r = Math.sqrt(squaredDistance(x, i, j));
        addAlong(x, gradient, i, j, outer * this.#descreeningSlope(r, i, j) / r);
      }
    }
  }
}

function squaredDistance(x: Vector, i: number, j: number): number {
  const dx = x[3 * i] - x[3 * j],
    dy = x[3 * i + 1] - x[3 * j + 1],
    dz = x[3 * i + 2] - x[3 * j + 2];
  return dx * dx + dy * dy + dz * dz;
}

/** gradient_i += slope (x_i − x_j), gradient_j −= the same. */
function addAlong(x: Vector, gradient: Vector, i: number, j: number, slope: number): void {
  for (let a = 0; a < 3; a++) {
    const force = slope * (x[3 * i + a] - x[3 * j + a]);
    gradient[3 * i + a] += force;
    gradient[3 * j + a] -= force;
  }
}
