/** What the WGSL kernels cannot do: the backend refuses it by name, and "auto" keeps away from it. */

/** The parts of a problem that decide. */
export interface Asked {
  /** Number of the pair kernel, see PairKernel in src/systems/system.ts. */
  readonly system?: number;
  readonly mint?: { readonly family: string } | null;
  readonly julep?: { readonly diffusion?: { readonly kind: string } } | null;
  /** Annealing paths (src/path). */
  readonly path?: boolean;
}

const families = ["orbit_vmf"];
const LAST_PAIR_KERNEL = 2;

/** Completes "the webgpu backend ..."; null where everything is there. */
export function missingOnGpu({ system = 0, mint, julep, path }: Asked): string | null {
  if (system > LAST_PAIR_KERNEL) return "has no kernel for the energy of molecules";
  if (mint && !families.includes(mint.family)) {
    return `has no kernel for mint.family "${mint.family}" (it has ${families.join(", ")})`;
  }
  if (julep?.diffusion) return `has no kernel for the comparator "${julep.diffusion.kind}"`;
  if (path) return "has no kernel for annealing paths";
  return null;
}
