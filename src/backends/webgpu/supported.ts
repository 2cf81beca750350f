/** What the WGSL kernels cannot do: the backend refuses it by name, and "auto" keeps away from it. */

/** The parts of a problem that decide. */
export interface Asked {
  /** The system is a molecule. */
  readonly molecule?: boolean;
  /** Annealing paths or chains: "auto" leaves them to the cores, whose share of a level is microseconds. */
  readonly withoutNetwork?: boolean;
  readonly julep?: {
    /** Of a model. */
    readonly pairFlow?: unknown;
    /** Of a configuration. */
    readonly path?: object | null;
  } | null;
}

/** Completes "the webgpu backend ..."; null where everything is there. */
export function missingOnGpu({ molecule, julep }: Asked): string | null {
  if (molecule) return "has kernels for the energies of molecules, none for sampling them";
  const path = julep?.path ?? {};
  if (julep?.pairFlow || ("flow" in path && path.flow === "exact")) {
    return "has no kernel for Julep with an exact pair flow (julep.path.flow)";
  }
  return null;
}
