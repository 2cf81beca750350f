/**
 * Identical particles: the target does not change when they are relabelled, a labelled density does.
 * What a prior does about it is declared by its family and checked against the system here, because
 * no diagnostic of the sampler shows a labelling that is never visited.
 */
import { InputError } from "../errors.ts";
import { familyOf } from "./families.ts";
import type { PermutationTreatment } from "./family.ts";
import { labellingCount, MAX_LABELLINGS } from "./labellings.ts";
import type { MintShape } from "./model.ts";

/** How a prior deals with identical particles, whether the system has any or not. */
export function permutationTreatment(shape: MintShape): PermutationTreatment {
  if (shape.components === 0) return "invariant"; // the broad part alone
  if (familyOf(shape).permutations(shape) === "invariant") return "invariant";
  return shape.symmetrise ? "enumerated" : "none";
}

/** Does the prior leave out labellings of identical particles? */
export function missesLabellings(shape: MintShape): boolean {
  return permutationTreatment(shape) === "none" && labellingCount(shape.identicalParticles) > 1;
}

/**
 * Refuses a labelled prior on more identical particles than can be enumerated.
 *
 * @param allowLabelled let it pass where it does not even try to enumerate them
 * @throws InputError
 */
export function checkPermutations(shape: MintShape, allowLabelled: boolean): void {
  const treatment = permutationTreatment(shape);
  const count = labellingCount(shape.identicalParticles);
  if (treatment === "invariant" || count <= MAX_LABELLINGS) return;
  if (treatment === "none" && allowLabelled) return;
  const particles = Math.max(...shape.identicalParticles.map((group) => group.length));
  const cure = "use mint.family = orbit_gaussian with mint.gaussian.mean = zero and " +
    "mint.gaussian.covariance = scale, or mint.components = 0 (both permutation-invariant)";
  throw new InputError(
    treatment === "enumerated"
      ? `mint.symmetrise: ${particles} identical particles have ${count.toExponential(1)} ` +
        `labellings, at most ${MAX_LABELLINGS} are enumerated: ${cure}`
      : `mint.family ${shape.family} is labelled: it covers one of the ${count.toExponential(1)} ` +
        `labellings of ${particles} identical particles, the others would be missing from the ` +
        `samples and nothing would show it: ${cure} (mint.allowLabelled = true forces it)`,
  );
}
