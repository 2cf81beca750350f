/** What the WGSL kernels cannot do: the backend refuses it by name, and "auto" keeps away from it. */

/** The parts of a problem that decide. */
export interface Asked {
  /** The system is a molecule. */
  readonly molecule?: boolean;
  readonly mint?: { readonly family: string; readonly components?: number } | null;
  readonly julep?: { readonly diffusion?: { readonly kind: string } } | null;
}

const families = ["orbit_vmf"];

/** Completes "the webgpu backend ..."; null where everything is there. */
export function missingOnGpu({ molecule, mint, julep }: Asked): string | null {
  if (molecule) return "has kernels for the energies of molecules, none for sampling them";
  // Without components there is only the broad part, which is of no family.
  if (mint && mint.components !== 0 && !families.includes(mint.family)) {
    return `has no kernel for mint.family "${mint.family}" (it has ${families.join(", ")})`;
  }
  if (julep?.diffusion) return `has no kernel for the comparator "${julep.diffusion.kind}"`;
  return null;
}
