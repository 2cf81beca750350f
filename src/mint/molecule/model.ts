/** Priors of molecules as plain data: they cross to workers and are stored with a run. */
import type { InternalEnergy } from "./internal_energy.ts";
import type { InternalDensity } from "./gaussian.ts";
import { LaplaceMixture, type LaplaceModel } from "./laplace.ts";
import { TorsionGrid, type TorsionGridModel } from "./torsion_grid.ts";

export type InternalPrior = LaplaceModel | TorsionGridModel;

/** The density of a model. */
export function internalDensity(energy: InternalEnergy, prior: InternalPrior): InternalDensity {
  return prior.kind === "laplace"
    ? new LaplaceMixture(energy.coordinates, prior)
    : new TorsionGrid(energy.coordinates, prior);
}
