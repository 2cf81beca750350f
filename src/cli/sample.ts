/** `mintjulep sample`: a trained run in, weighted samples as a NumPy file out. */
import { command, constant, type InferValue, message, object, optional } from "@optique/core";
import { ensureWritableFile } from "../io/atomic.ts";
import { interruptible } from "./interrupt.ts";
import {
  countOption,
  machineOptions,
  moleculeOptions,
  pathOption,
  runArgument,
  seedOption,
} from "./options.ts";
import { printData, table } from "./output.ts";
import { displayProgress } from "./progress.ts";

export const sampleCommand = command(
  "sample",
  object({
    command: constant("sample"),
    dir: runArgument("sample"),
    samples: countOption("--samples", "Number of samples"),
    out: pathOption("--out", "FILE", "File to write: .npz for numpy.load, .pdb or .dcd"),
    resample: optional(
      countOption("--resample", "Write this many equally weighted samples instead"),
    ),
    steps: optional(countOption("--steps", "Steps per trajectory; as trained by default")),
    seed: seedOption("What the draws are keyed by; the run's seed by default"),
    chirality: moleculeOptions().chirality,
    ...machineOptions(),
  }),
  { description: message`Draw exactly weighted samples from a trained run` },
);

/** Draws and writes the samples. */
export async function runSample(options: InferValue<typeof sampleCommand>): Promise<number> {
  const { dir, samples, out, resample, steps, seed, chirality, workers, backend } = options;
  const molecule = { chirality };
  await ensureWritableFile(out);
  const progress = displayProgress();
  const { sampleRun } = await import("../run/draw.ts");
  const summary = await interruptible(
    "stopping; nothing is written",
    (signal) =>
      sampleRun(dir, {
        samples,
        out,
        resample,
        steps,
        seed,
        molecule,
        workers,
        backend,
        signal,
        progress,
      }),
  );
  printData(table(summary));
  return 0;
}
