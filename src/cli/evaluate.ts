/** `mintjulep evaluate`: how good a trained run is, in figures with their errors. */
import {
  command,
  constant,
  type InferValue,
  message,
  object,
  option,
  optional,
  withDefault,
} from "@optique/core";
import { interruptible } from "./interrupt.ts";
import {
  countOption,
  machineOptions,
  moleculeOptions,
  pathOption,
  runArgument,
} from "./options.ts";
import { printData, table } from "./output.ts";
import { displayProgress } from "./progress.ts";

export const evaluateCommand = command(
  "evaluate",
  object({
    command: constant("evaluate"),
    dir: runArgument("evaluate"),
    samples: countOption("--samples", "Samples in all; 100000 for a headline ESS"),
    steps: optional(countOption("--steps", "Steps per trajectory; as trained by default")),
    seeds: withDefault(
      countOption("--seeds", "Independent batches the samples come in; 5 by default"),
      5,
    ),
    reference: optional(
      pathOption(
        "--reference",
        "FILE",
        "Samples of the target, to look for missed modes: .npy; molecules also .dcd, .pdb, .npz",
      ),
    ),
    buffer: option("--buffer", {
      description:
        message`In place of a reference: the run's own samples, resampled and moved on by HMC`,
    }),
    control: option("--control", {
      description: message`The same figures without the network, at its best step size`,
    }),
    json: option("--json", { description: message`One JSON object on standard output` }),
    ...moleculeOptions(),
    ...machineOptions(),
  }),
  { description: message`ESS, log Z and averages of a trained run, with standard errors` },
);

/** Prints the report: data on standard output, warnings on standard error. */
export async function runEvaluate(options: InferValue<typeof evaluateCommand>): Promise<number> {
  const { dir, json, command: _, chirality, phi, psi, ...rest } = options;
  const molecule = { chirality, phi, psi };
  const progress = displayProgress();
  const { evaluateRun } = await import("../run/evaluate.ts");
  const report = await interruptible(
    "stopping",
    (signal) => evaluateRun(dir, { ...rest, molecule, signal, progress }),
  );
  if (json) {
    printData(JSON.stringify(report, null, 2));
    return 0;
  }
  const { warnings, ...figures } = report;
  printData(table(figures));
  for (const warning of warnings) progress.note(`warning: ${warning}`);
  return 0;
}
