/** `mintjulep train`: a configuration in, a trained run folder out. */
import {
  argument,
  choice,
  command,
  constant,
  type InferValue,
  message,
  multiple,
  object,
  option,
  optional,
  string,
} from "@optique/core";
import { loadConfig, withChanges } from "../config/load.ts";
import { methodNames, moleculeSoftCores } from "../config/methods.ts";
import { presetNames } from "../config/presets.ts";
import type { RunConfig } from "../config/config.ts";
import { InputError } from "../errors.ts";
import { interruptible } from "./interrupt.ts";
import {
  countOption,
  machineOptions,
  moleculeOptions,
  pathOption,
  seedOption,
  sentence,
  temperatureOption,
} from "./options.ts";
import { printData, table } from "./output.ts";
import { displayProgress } from "./progress.ts";

export const trainCommand = command(
  "train",
  object({
    command: constant("train"),
    target: argument(string({ metavar: "TARGET" }), {
      description: sentence(
        `A preset (${presetNames.join(", ")}), a JSON file, or with --coordinates a prmtop or ` +
          "System XML; with --resume, the run's folder",
      ),
      errors: { endOfInput: sentence("train needs a preset or a JSON file (see train --help)") },
    }),
    out: optional(pathOption("--out", "DIR", "Folder of the run, made if missing")),
    method: optional(
      option("--method", string({ metavar: "METHOD" }), {
        description: sentence(
          `${methodNames.join(", ")}; by default julep, of a molecule internal`,
        ),
      }),
    ),
    seed: seedOption("What all random numbers are keyed by; default 2666"),
    set: multiple(
      option("--set", string({ metavar: "FIELD=VALUE" }), {
        description: sentence("Change a field, as in --set julep.steps=100; may be repeated"),
      }),
    ),
    coordinates: optional(
      pathOption(
        "--coordinates",
        "FILE",
        "Geometry of TARGET, a prmtop or System XML: inpcrd, .pdb (Å), .npy (nm)",
      ),
    ),
    solvent: optional(option("--solvent", choice(["none", "obc1", "obc2"]), {
      description:
        message`With --coordinates: none, obc1 or obc2; by default that of the System, none for a prmtop`,
    })),
    temperature: optional(temperatureOption()),
    softCore: optional(option("--soft-core", choice(["none", "shifted", "beutler"]), {
      description:
        message`Molecules: none, shifted or beutler; pairs softened, charges and bonded terms scaled down early in the path`,
    })),
    dropConstraints: option("--drop-constraints", {
      description: message`With --coordinates: leave constraints of a System out`,
    }),
    ...moleculeOptions(),
    resume: option("--resume", {
      description: message`Go on from the last checkpoint in TARGET`,
    }),
    overwrite: option("--overwrite", {
      description: message`Replace a run that is already in the folder`,
    }),
    readBackEvery: optional(
      countOption(
        "--read-back-every",
        "On a GPU: Julep iterations between read-backs; about a second's worth by default",
      ),
    ),
    ...machineOptions(),
  }),
  {
    description:
      message`Train Mint and Julep, or another method, for a system; write checkpoints and a report`,
  },
);

const NOTICE = "stopping after this step; checkpoint follows";

/** Trains a new run, or takes up an interrupted one; prints its figures. */
export async function runTrain(options: InferValue<typeof trainCommand>): Promise<number> {
  const { target, out, method, seed, set, overwrite, resume, workers, backend } = options;
  const { readBackEvery } = options;
  const machine = { workers, backend, readBackEvery, progress: displayProgress() };
  if (resume) {
    const own = {
      "--out": out,
      "--method": method,
      "--seed": seed,
      "--set": set[0],
      "--overwrite": overwrite || undefined,
      "--coordinates": options.coordinates,
      "--soft-core": options.softCore,
      "--chirality": options.chirality,
      "--phi": options.phi,
      "--psi": options.psi,
    };
    for (const [flag, given] of Object.entries(own)) {
      if (given === undefined) continue;
      throw new InputError(
        `${flag} cannot go with --resume: the run in ${target} keeps its folder and configuration`,
      );
    }
    const { resumeTraining } = await import("../run/train.ts");
    const summary = await interruptible(
      NOTICE,
      (signal) => resumeTraining(target, { ...machine, signal }),
    );
    printData(table(summary));
    return 0;
  }
  if (out === undefined) throw new InputError("train needs --out DIR, the folder of the run");
  const overrides = seed === undefined ? set : [...set, `seed=${seed}`];
  const { withMolecule } = await import("../run/chirality.ts");
  const { chirality, phi, psi } = options;
  const config = withMolecule(await configOf(options, overrides), { chirality, phi, psi }, target);
  const { train } = await import("../run/train.ts");
  const summary = await interruptible(
    NOTICE,
    (signal) => train(config, { ...machine, out, overwrite, signal }),
  );
  printData(table(summary));
  return 0;
}

/** After the method's changes, before those of --set. */
const softCoreChange = (kind: keyof typeof moleculeSoftCores) =>
  `system.softCore=${JSON.stringify(moleculeSoftCores[kind])}`;

/** From a preset or JSON file; with --coordinates, from a molecule's own files. */
async function configOf(
  options: InferValue<typeof trainCommand>,
  changes: readonly string[],
): Promise<RunConfig> {
  const { softCore } = options;
  const overrides = softCore === undefined ? changes : [softCoreChange(softCore), ...changes];
  if (softCore !== undefined && options.coordinates === undefined) {
    const { system } = loadConfig(options.target, [], options.method);
    if (system.kind !== "molecule") {
      throw new InputError(`--soft-core is for molecules, ${options.target} is none`);
    }
  }
  const { target, method, coordinates, solvent, temperature, dropConstraints } = options;
  if (coordinates === undefined) {
    const stray = Object.entries({
      "--solvent": solvent,
      "--temperature": temperature,
      "--drop-constraints": dropConstraints || undefined,
    }).find(([, given]) => given !== undefined);
    if (stray) {
      throw new InputError(
        `${stray[0]} goes with --coordinates; for a preset use --set, as in ` +
          "--set system.solvent=obc2",
      );
    }
    return loadConfig(target, overrides, method);
  }
  const { moleculeConfig } = await import("../run/molecule_files.ts");
  const molecule = { coordinates, solvent, temperature, dropConstraints };
  return withChanges(await moleculeConfig(target, molecule), overrides, method);
}
