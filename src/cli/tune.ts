/** `mintjulep tune`: a path fitted to a system; `train` takes the configuration it writes. */
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
  string,
  withDefault,
} from "@optique/core";
import { loadConfig } from "../config/load.ts";
import { interruptible } from "./interrupt.ts";
import { countOption, machineOptions, pathOption, seedOption, sentence } from "./options.ts";
import { printData, table } from "./output.ts";
import { displayProgress } from "./progress.ts";

export const tuneCommand = command(
  "tune",
  object({
    command: constant("tune"),
    target: argument(string({ metavar: "TARGET" }), {
      description: message`A preset or a JSON file`,
      errors: { endOfInput: sentence("tune needs a preset or a JSON file (see tune --help)") },
    }),
    out: pathOption("--out", "DIR", "Folder for config.json, which train takes, and tune.csv"),
    method: withDefault(
      option("--method", choice(["underdamped", "adjusted", "ais", "smc"]), {
        description: message`Whose path: underdamped, adjusted, ais or smc`,
      }),
      "underdamped" as const,
    ),
    generations: withDefault(
      countOption("--generations", "Generations of CMA-ES; 60 by default"),
      60,
    ),
    population: withDefault(
      countOption("--population", "Paths in a generation, at least 4; 14 by default", 4),
      14,
    ),
    samples: withDefault(
      countOption(
        "--samples",
        "Samples of each path, either way, up to the next multiple of 4; 256 by default",
      ),
      256,
    ),
    seed: seedOption("What all random numbers are keyed by; default 2666"),
    set: multiple(
      option("--set", string({ metavar: "FIELD=VALUE" }), {
        description: sentence("Change a field, as in --set path.levels=200; may be repeated"),
      }),
    ),
    ...machineOptions(),
  }),
  { description: message`Fit an annealing path to a system of your own` },
);

/** Searches, writes the result. */
export async function runTune(options: InferValue<typeof tuneCommand>): Promise<number> {
  const { command: _, target, method, seed, set, samples, ...rest } = options;
  const config = loadConfig(target, seed === undefined ? set : [...set, `seed=${seed}`], method);
  const { tune } = await import("../run/tune.ts");
  const summary = await interruptible(
    "stopping",
    (signal) =>
      tune(config, {
        ...rest,
        samples: Math.ceil(samples / 4) * 4,
        signal,
        progress: displayProgress(),
      }),
  );
  printData(table(summary));
  return 0;
}
