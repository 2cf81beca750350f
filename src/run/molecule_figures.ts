/** What is told of molecules beside the figures of any system: handedness and Ramachandran histograms. */
import type { RunConfig } from "../config/config.ts";
import type { MoleculeFigures, RamachandranPicture } from "../report/input.ts";
import { type Chirality, chiralityFigures } from "../sampling/chirality.ts";
import type { WeightedSamples } from "../sampling/draw.ts";
import {
  basins,
  type Floor,
  halvesFloor,
  histogramDivergence,
  multinomialFloor,
  RAMACHANDRAN_BINS,
  type RamachandranFigures,
  ramachandranHistogram,
  torsionAngles,
} from "../sampling/ramachandran.ts";
import { effectiveSampleSize } from "../sampling/weights.ts";
import { type BackbonePair, chosenPairs } from "../systems/molecule/backbone.ts";
import { Molecule } from "../systems/molecule/molecule.ts";
import type { System } from "../systems/system.ts";
import { chiralityOf } from "./chirality.ts";

interface Drawn {
  readonly drawn: WeightedSamples;
  /** Draws of the prior alone; not for chains. */
  readonly prior?: WeightedSamples;
  /** Target samples that are not the run's own. */
  readonly reference?: WeightedSamples;
  readonly chirality: Chirality | null;
}

/** The torsions that are looked at. Throws InputError for φ and ψ that are no atoms. */
function backboneOf({ molecule }: RunConfig, system: System): BackbonePair[] {
  return system instanceof Molecule
    ? chosenPairs(system.forces.forceField, molecule?.phi ?? null, molecule?.psi ?? null)
    : [];
}

/** Throws InputError, before any work is done, for what a run says of its molecule and cannot be. */
export function checkMolecule(config: RunConfig, system: System): void {
  backboneOf(config, system);
  chiralityOf(config, system);
}

/** Undefined for systems that are no molecules. Throws InputError for φ and ψ that are no atoms. */
export function moleculeFigures(
  config: RunConfig,
  system: System,
  sets: Drawn,
): { figures: MoleculeFigures; pictures: RamachandranPicture[] } | undefined {
  if (!(system instanceof Molecule)) return undefined;
  const { forceField } = system.forces;
  const { drawn, chirality } = sets;
  const found = backboneOf(config, system)
    .map((pair) => ramachandran(pair, system, sets, config.seed));
  return {
    figures: {
      ...(chirality
        ? { chirality: chiralityFigures(drawn, chirality, forceField.atoms.names) }
        : {}),
      ...(found.length === 0
        ? {}
        : { ramachandran: Object.fromEntries(found.map((f) => [f.picture.title, f.figures])) }),
    },
    pictures: found.map(({ picture }) => picture),
  };
}

function ramachandran(
  { phi, psi, label }: BackbonePair,
  { particles }: System,
  { drawn, prior, reference, chirality }: Drawn,
  seed: number,
): { figures: RamachandranFigures; picture: RamachandranPicture } {
  const anglesOf = ({ positions }: WeightedSamples) => {
    const a = torsionAngles(positions, particles, phi),
      b = torsionAngles(positions, particles, psi);
    if (chirality) {
      for (let s = 0; s < a.length; s++) {
        if (chirality.handedness.of(positions, 3 * particles * s) !== -1) continue;
        [a[s], b[s]] = [-a[s], -b[s]];
      }
    }
    return [a, b] as const;
  };
  const histogram = (set: WeightedSamples, logWeights: Float64Array | null) =>
    ramachandranHistogram(...anglesOf(set), logWeights);
  const logWeights = drawn.chains ? null : drawn.logWeights;
  const own = histogram(drawn, logWeights);
  // Draws that left the domain are shown as some geometry that they never had.
  const asDrawn = prior && histogram(prior, prior.logWeights.map((w) => w === -Infinity ? w : 0));
  const weighted = prior && histogram(prior, prior.logWeights);
  const effectiveSamples = effectiveCount(drawn);
  const target = reference && histogram(reference, null);
  const figures: RamachandranFigures = {
    phi: phi.map((i) => i + 1),
    psi: psi.map((i) => i + 1),
    bins: RAMACHANDRAN_BINS,
    effectiveSamples,
    ...basins(anglesOf(drawn)[0], logWeights, drawn.chains?.chains ?? drawn.islands?.length),
    ...(reference && target
      ? {
        reference: {
          samples: reference.energies.length,
          ...basins(anglesOf(reference)[0], null),
          kl: histogramDivergence(target, own),
          klFloor: floorOf(
            { histogram: target, samples: reference.energies.length },
            { histogram: own, samples: Math.max(1, Math.round(effectiveSamples)) },
            seed,
          ),
          klOfHalves: halvesFloor(...anglesOf(reference), seed),
          klPrior: asDrawn ? histogramDivergence(target, asDrawn) : NaN,
          klPriorWeighted: weighted ? histogramDivergence(target, weighted) : NaN,
        },
      }
      : {}),
  };
  const panels = [
    { name: "reference", histogram: target },
    { name: "Mint, as drawn", histogram: asDrawn },
    { name: "Mint, weighted", histogram: weighted },
    { name: "MintJulep, weighted", histogram: own },
  ].flatMap(({ name, histogram }) => histogram ? [{ name, histogram }] : []);
  return { figures, picture: { title: label, bins: RAMACHANDRAN_BINS, panels } };
}

/** Independent samples that a set is worth: of chains by the energy, of islands by their ancestors. */
function effectiveCount({ chains, islands, logWeights }: WeightedSamples): number {
  if (chains) return chains.energy.effectiveDraws;
  if (islands) return islands.reduce((sum, { effectiveAncestors }) => sum + effectiveAncestors, 0);
  return effectiveSampleSize(logWeights) * logWeights.length;
}

interface Counted {
  readonly histogram: Float64Array;
  readonly samples: number;
}

/** The floor of two sets that are taken to be of one distribution: both together tell it best. */
function floorOf(p: Counted, q: Counted, seed: number): Floor {
  const share = p.samples / (p.samples + q.samples);
  const pooled = p.histogram.map((v, b) => share * v + (1 - share) * q.histogram[b]);
  return multinomialFloor(pooled, p.samples, q.samples, seed);
}
