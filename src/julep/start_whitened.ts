/** Julep in whitened internal coordinates of a molecule before training: b = c = 0, A = 0. */
import type { JulepConfig } from "../config/config.ts";
import { softTorsions } from "../mint/molecule/torsions.ts";
import { type InternalModel, InternalSampler } from "../path/internal_sampler.ts";
import type { Molecule } from "../systems/molecule/molecule.ts";
import type { JulepModel } from "./model.ts";
import { type FeatureKind, initialiseWhitened, type WhitenedShape } from "./whitened.ts";

/** `julep.gauge` and `julep.path` have no meaning in these coordinates. */
export function initialiseWhitenedJulep(
  molecule: Molecule,
  internal: InternalModel,
  config: JulepConfig,
  seed: number,
): JulepModel {
  const { network: net, stepSize } = config;
  const whitened: WhitenedShape | null = net.enabled
    ? {
      features: features(new InternalSampler(molecule, internal)),
      layers: net.layers,
      hidden: net.hidden,
      outputScale: net.outputScale ?? 1,
      ...(net.matrix === "none" ? {} : { channels: net.channels }),
    }
    : null;
  return {
    gauge: "anchor",
    forceClip: config.forceClip,
    network: null,
    ...(whitened ? { whitened } : {}),
    drift: net.drift,
    evenDrift: net.evenDrift,
    matrix: net.enabled ? net.matrix : "none",
    parameters: whitened ? initialiseWhitened(whitened, seed) : new Float64Array(0),
    logStepSize: new Float64Array(stepSize.knots).fill(Math.log(Number(stepSize.initial))),
  };
}

/** Soft torsions and rotors by their sines and cosines, stiff coordinates in units of their widths. */
function features({ energy, prior, model, reference }: InternalSampler): FeatureKind[] {
  const { coordinates, molecule } = energy;
  const n = coordinates.size;
  const covariance = prior.localCovariance();
  const soft = model.prior.kind === "torsion_grid"
    ? model.prior.soft
    : softTorsions(molecule.forces.forceField, coordinates, model.reference);
  const symmetry = new Map(soft.map((row) => [coordinates.dihedralAt(row), 1]));
  for (const { rows } of coordinates.rotors) {
    symmetry.set(coordinates.dihedralAt(rows[0]), rows.length);
  }
  const first = 2 * coordinates.atoms - 3;
  return Array.from({ length: n }, (_, k): FeatureKind => {
    const turns = symmetry.get(k);
    if (turns !== undefined) return { kind: "periodic", symmetry: turns };
    const scale = Math.sqrt(covariance[k * n + k]);
    return { kind: k < first ? "linear" : "wrapped", centre: reference.z[k], scale };
  });
}
