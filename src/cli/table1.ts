/** `mintjulep table1`: the paper's table beside ours. */
import {
  choice,
  command,
  constant,
  type InferValue,
  message,
  multiple,
  object,
  option,
  withDefault,
} from "@optique/core";
import { tablePresets, tableRows } from "../run/table1_rows.ts";
import { interruptible } from "./interrupt.ts";
import { countOption, machineOptions, pathOption, seedOption, sentence } from "./options.ts";
import { printData } from "./output.ts";
import { displayProgress } from "./progress.ts";

export const table1Command = command(
  "table1",
  object({
    command: constant("table1"),
    out: pathOption("--out", "DIR", "Folder of the table and its runs; finished rows are kept"),
    samples: withDefault(
      countOption("--samples", "Samples of a row, all seeds together; 100000 by default"),
      100_000,
    ),
    quick: option("--quick", {
      description: message`Short training, few samples: minutes instead of hours`,
    }),
    presets: multiple(
      option("--preset", choice(tablePresets, { metavar: "PRESET" }), {
        description: sentence(`Only this system: ${tablePresets.join(", ")}; may be repeated`),
      }),
    ),
    rows: multiple(
      option("--row", choice(tableRows.map((r) => r.name), { metavar: "ROW" }), {
        description: sentence(
          `Only this row: ${tableRows.map((r) => r.name).join(", ")}; may be repeated`,
        ),
      }),
    ),
    seed: seedOption("What all random numbers are keyed by; default 2666"),
    ...machineOptions(),
  }),
  { description: message`The paper's table beside ours, with baselines and comparators` },
);

/** Runs what is missing, prints the table. */
export async function runTable1(options: InferValue<typeof table1Command>): Promise<number> {
  const { command: _, presets, rows, ...rest } = options;
  const { table1 } = await import("../run/table1.ts");
  const { markdown } = await interruptible(
    "stopping after this step; the same command goes on from there",
    (signal) =>
      table1({
        ...rest,
        presets: presets.length ? presets : undefined,
        rows: rows.length ? rows : undefined,
        signal,
        progress: displayProgress(),
      }),
  );
  printData(markdown);
  return 0;
}
