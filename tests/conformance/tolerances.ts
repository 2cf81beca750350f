/**
 * How far a fast kernel may be from the float64 reference: one table, each figure with its reason.
 * The kernels compute in float32 (unit roundoff u = 6e-8); the reference gets the same rounded inputs.
 */
export interface Tolerance {
  readonly value: number;
  readonly reason: string;
}

export const tolerances = {
  /** Units in the last place of the result, as the comments of assembly/math.ts promise. */
  mathExp: { value: 2, reason: "degree-6 polynomial after exact reduction; seen: 0.96" },
  mathLog: { value: 2, reason: "Cephes polynomial, exact mantissa; seen: 0.77" },
  mathTanh: {
    value: 6.5,
    reason: "13/6 rational fit, one division; seen over one float32 in 13: 4.7, plain 6.4",
  },
  mathI0e: { value: 4.5, reason: "exp times series, degree 8; seen: 4.0 (plain, near x = 6)" },
  mathI1e: { value: 4.5, reason: "exp times series, degree 8; seen: 4.0 (plain, near x = 6)" },
  /** Absolute. */
  mathSincos: { value: 1e-7, reason: "exact reduction to an eighth of a turn; seen: 8.7e-8" },
  threefryNormals: {
    value: 1e-6,
    reason: "absolute; at most 5.8 = √(−2 log 2^-25), so 1.5 u relative in ρ and in cos, sin",
  },
  fineNormals: {
    value: 3e-8,
    reason: "absolute; two floats but for the last terms of log, cos and sin",
  },
  pairEnergies: {
    value: 4e-6,
    reason: "relative to 1 + Σ|u_ij|: r^-12 multiplies the relative error of r (≤ 1.5 u) by 12, " +
      "and sums are in two levels",
  },
  pairGradients: {
    value: 8e-6,
    reason: "relative to 1 + Σ_j |f_ij|: r^-13 times the error of r, one power of r more",
  },
  mathAtan2: { value: 3, reason: "ulp; Cephes polynomial, one division; seen: 2.53" },
  moleculeTerms: {
    value: 3e-6,
    reason: "relative to 1 kT + Σ|u| of the term's parts: A/r¹² carries 12 times the error of r, " +
      "r = 0.1 nm from coordinates of 1 nm has an error of 10 u; seen: 1.3e-6",
  },
  moleculeForces: {
    value: 1e-5,
    reason: "norm of the difference over the norm of the sum of |forces| of all terms: a bond's " +
      "constant times the rounding of its length; seen: below 3e-6",
  },
  internalValue: {
    value: 1e-5,
    reason:
      "relative to 1 + |V| (kT): moleculeTerms' errors at positions placed one after the other " +
      "from float32 angles; seen: 4e-6",
  },
  internalGradient: {
    value: 1e-4,
    reason: "relative norm: forces of bonds cancel in the torques of whole branches; seen: 2e-5",
  },
  internalDensity: {
    value: 2e-4,
    reason: "absolute: L⁻¹d in float32, displacements of one width have errors of 1e-6 widths, " +
      "summed over 60-150 coordinates; seen: 6e-5",
  },
  internalLogWeights: {
    value: 1e-3,
    reason: "absolute, over 100 levels with the same random words and the same acceptances",
  },
  pairEnergySum: {
    value: 2e-5,
    reason: "relative, 4000 particles on a grid: two levels lose 6e-6, one running sum loses 4e-3",
  },
  levelEnergies: {
    value: 6e-6,
    reason:
      "relative to 1 + Σ|u_ij| + |log q|: pairEnergies' errors, r⁶ + a once more, and the prior's",
  },
  levelGradients: {
    value: 1.2e-5,
    reason: "relative to 1 + Σ_j |f_ij| of all particles: pairGradients' error and the prior's",
  },
  pairFlowPositions: {
    value: 4e-6,
    reason: "absolute, positions of order 3: N − 1 moves of each particle, u·|x| lost in each",
  },
  pairFlowDeterminant: {
    value: 1e-6,
    reason:
      "absolute, for each pair of particles: three factors near 1 of error u each, and kinks of R " +
      "that rounding puts a pair on the other side of",
  },
  pathLogWeights: {
    value: 1e-3,
    reason: "absolute: increments of order 1 to 10 with error 1e-6 each, grown along the path",
  },
  pathPositions: {
    value: 2e-3,
    reason: "absolute: differences of 1e-7 grow by the path's instability",
  },
  trainingSums: { value: 2e-6, reason: "relative: two-level sums of squares, one square root" },
  adam: {
    value: 1e-6,
    reason: "relative to the largest parameter or moment: a few roundings an update, terms cancel",
  },
  lossSlopes: {
    value: 1e-3,
    reason: "norm: increments are differences of energies of order 400, u·400 = 2.4e-5 each, and " +
      "softmax carries their sum; relative to deviations of order 0.3",
  },
  hmcPositions: { value: 1e-4, reason: "absolute: as pathPositions, for a few transitions" },
} satisfies Record<string, Tolerance>;
