/** Paths U_k = (1 − t_k)(−log q) + t_k U_t from a Mint prior, for any system. */
import { InputError } from "../errors.ts";
import type { PathKernelName, PathModel } from "./model.ts";

/** What a path from a Mint prior is made by. */
export interface MixturePathOptions {
  /** Transition of every level. */
  readonly kernel: PathKernelName;
  /** K. */
  readonly levels: number;
  /** adjusted only; default 4. */
  readonly leapfrogs?: number;
  /** Δ, the same at every level, length. DW-4: about 0.2. */
  readonly stepSize: number;
  /** γ; default 2. underdamped only. */
  readonly friction?: number;
  /** Per-particle force clip; default 0: none. */
  readonly clip?: number;
}

/**
 * Levels t_k = (k + 1)/K, equally spaced. Throws InputError for numbers out of range.
 */
export function mixturePath(options: MixturePathOptions): PathModel {
  const { kernel, levels: K, stepSize, friction = 2, clip = 0 } = options;
  const leapfrogs = kernel === "adjusted" ? options.leapfrogs ?? 4 : 0;
  if (!Number.isSafeInteger(K) || K < 1) {
    throw new InputError(`path.levels must be an integer >= 1, got ${K}`);
  }
  if (!Number.isSafeInteger(leapfrogs) || (kernel === "adjusted" && leapfrogs < 1)) {
    throw new InputError(`path.leapfrogs must be an integer >= 1, got ${leapfrogs}`);
  }
  for (const [name, value] of Object.entries({ stepSize, friction })) {
    if (!(Number.isFinite(value) && value > 0)) {
      throw new InputError(`path.${name} must be a finite number above 0, got ${value}`);
    }
  }
  if (!(Number.isFinite(clip) && clip >= 0)) {
    throw new InputError(`path.clip must be a finite number >= 0, got ${clip}`);
  }
  return {
    kernel,
    leapfrogs,
    levels: { kind: "mixture", times: Float64Array.from({ length: K }, (_, k) => (k + 1) / K) },
    stepSize: new Float64Array(K).fill(stepSize),
    friction: new Float64Array(K).fill(friction),
    clip: new Float64Array(K).fill(clip),
    flow: null,
  };
}
