/** What the WGSL kernels cannot do: the backend refuses it by name, and "auto" keeps away from it. */

/** The parts of a problem that decide. */
export interface Asked {
  /** The system is a molecule. */
  readonly molecule?: boolean;
  /** Annealing paths or chains: "auto" leaves them to the cores, whose share of a level is microseconds. */
  readonly withoutNetwork?: boolean;
}

/** Completes "the webgpu backend ..."; null where everything is there. */
export function missingOnGpu({ molecule }: Asked): string | null {
  return molecule ? "has kernels for the energies of molecules, none for sampling them" : null;
}
