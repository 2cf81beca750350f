/** The table as Markdown: one section a system, one line a method, the paper's figures beside ours. */
import { fixed, integer, percent, percentWithError, seconds, withError } from "../report/format.ts";
import type { Table, TableResult, TableSystem } from "./table1.ts";

type Cell = (r: TableResult) => string;

/** JSON gives null for what is not finite. */
const number = (x: number | null | undefined) => x ?? undefined;

const marks = { paths: "", ancestors: " ᵃ", chains: " ᶜ" };

const columns: [string, Cell][] = [
  ["method", (r) => r.title],
  ["paper, ESS", ({ published: p }) => p ? printed(p) : "–"],
  ["ESS, median of seeds", (r) => percent(number(r.essMedian))],
  [
    "ESS, pooled",
    (r) => percentWithError(number(r.ess), number(r.essStdErr)) + marks[r.essOf ?? "paths"],
  ],
  ["ESS from reference", (r) => percent(number(r.essFromReference))],
  ["log Z", (r) => withError(number(r.logZ), number(r.logZStdErr))],
  ["⟨U⟩", (r) => withError(number(r.meanEnergy), number(r.meanEnergyStdErr))],
  [
    "energy-W2 (noise)",
    (r) =>
      r.energyW2 === undefined || r.energyW2 === null
        ? "–"
        : `${fixed(r.energyW2, 2)} (${fixed(r.energyW2NoiseFloor, 2)})`,
  ],
  ["evaluations/sample", (r) => integer(r.energyEvaluationsPerSample)],
  ["samples", (r) => integer(r.samples)],
  ["training", (r) => seconds(r.trainSeconds)],
  ["sampling", (r) => seconds(r.sampleSeconds)],
];

/** "83.7 ± 1.0 %", as printed there. */
const printed = ({ ess, error }: { ess: number; error?: number }) =>
  `${ess.toFixed(1)}${error === undefined ? "" : ` ± ${error.toFixed(1)}`} %`;

const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |\n`;

export function markdownTable(table: Table): string {
  const parts = table.systems.map(systemSection);
  const effort = table.quick
    ? "--quick: short training and few samples; a figure of the full table may differ."
    : `Up to ${integer(table.samples)} samples a row.`;
  return `# Path ESS, log Z and energies\n\n${effort} ${table.seeds} evaluation seeds. ± is one ` +
    `standard error; log Z is in the anchored measure.\n\n${parts.join("\n")}\n${LEGEND}`;
}

function systemSection(system: TableSystem): string {
  const known: string[] = [];
  for (const [name, value] of [["log Z", system.logZ], ["⟨U⟩", system.meanEnergy]] as const) {
    if (!value) continue;
    const text = value.uncertainty < 1e-6
      ? fixed(value.value, 6)
      : withError(value.value, value.uncertainty);
    known.push(`${name} ${text} (${value.source})`);
  }
  const rows = system.results.map((r) =>
    line(
      r.left ? [r.title, columns[1][1](r), r.left, ...Array(columns.length - 3).fill("")] : columns
        .map(([, cell]) => cell(r)),
    )
  );
  const warned = system.results.flatMap((r) =>
    (r.warnings ?? []).map((w) => `- ${r.title}: ${w}\n`)
  );
  const shortened = system.results.flatMap((r) =>
    r.shortened ? [`- ${r.title}: ${r.shortened.join(", ")}\n`] : []
  );
  return `## ${system.preset}\n\n${system.definition}${
    system.hash ? ` (${system.hash})` : ""
  }\n\n` +
    (known.length ? `Known: ${known.join("; ")}.\n\n` : "") +
    line(columns.map(([name]) => name)) + line(columns.map(() => "---")) + rows.join("") +
    (shortened.length
      ? `\nShortened (its own settings: mintjulep train ${system.preset} --method NAME):\n\n` +
        shortened.join("")
      : "") +
    (warned.length ? `\nWarnings:\n\n${warned.join("")}` : "");
}

const LEGEND = `
ESS: (Σw)²/(n Σw²) of whole paths. ᵃ After resampling: all descendants of one prior draw counted as one
sample; the ESS of the final weights is larger and is no path ESS. ᶜ Kept draws over the energy's
autocorrelation time. ESS from reference: 1/E_p[e^(W − log Z)] of paths run backward from the chains'
states (for Sequential Monte Carlo of the same path without resampling). Evaluations: gradients and
energies, warm-up of chains included, training not. Energy-W2: square root taken, between samples and
chains, with that between two sets of chain states in brackets. The control's median is over batches
of 1000. No ± beside the ESS or ⟨U⟩ of weighted samples: one weight has more than half of all, and the
error cannot be told from the samples. The paper states neither its convention of the energy nor log Z.
`;
