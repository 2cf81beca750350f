/** The density families by name, and what depends on the family of a model. */
import type { DensityFamily } from "./family.ts";
import type { MintModel, MintShape } from "./model.ts";
import { orbitGaussian } from "./orbit_gaussian.ts";
import { orbitVmf } from "./orbit_vmf.ts";
import { pvmf } from "./pvmf.ts";
import { withNormalisers } from "./pvmf_normaliser.ts";

const families: Record<MintModel["family"], DensityFamily> = {
  orbit_vmf: orbitVmf,
  pvmf,
  orbit_gaussian: orbitGaussian,
};

export function familyOf({ family }: Pick<MintShape, "family">): DensityFamily {
  return families[family];
}

/** Numbers of one component's parameters, its logit included. */
export function componentSize(shape: MintShape): number {
  return 1 + familyOf(shape).parameterCount(shape);
}

/**
 * The model with what its family estimates beforehand (pvmf: normalisers, from so many samples each),
 * so that workers need not. Models of exact families are returned as they are.
 */
export function withEstimates(model: MintModel, samples: number): MintModel {
  return model.family === "pvmf" && model.components > 0 ? withNormalisers(model, samples) : model;
}

/** How far the normalisers of a prior's components can be trusted. */
export interface NormaliserFigures {
  /** Largest standard error of log Z among the components. */
  largestError: number;
  /** Smallest ESS of the estimates, a fraction: below about 5 % the error means little. */
  smallestEss: number;
  /** Largest |Laplace's log Z − estimate|; null where a component has no Laplace approximation. */
  laplaceError: number | null;
}

/** Undefined where normalisers are exact (or not estimated yet). */
export function normaliserFigures({ normalisers }: MintModel): NormaliserFigures | undefined {
  if (!normalisers || normalisers.logZ.length === 0) return undefined;
  const { logZ, error, ess, laplace } = normalisers;
  const off = Math.max(...laplace.map((value, k) => Math.abs(value - logZ[k])));
  return {
    largestError: Math.max(...error),
    smallestEss: Math.min(...ess),
    laplaceError: Number.isFinite(off) ? off : null,
  };
}

/** The same in one line for people; undefined where normalisers are exact. */
export function normaliserLine(model: MintModel): string | undefined {
  const found = normaliserFigures(model);
  if (!found) return undefined;
  return `the prior's normalisers are estimates: log Z ± ${found.largestError.toPrecision(2)} at ` +
    `most, ESS ${(100 * found.smallestEss).toPrecision(2)} % at least`;
}
