/** The report's section on a molecule: Ramachandran plots, basins, divergences, handedness. */
import type { RamachandranFigures } from "../sampling/ramachandran.ts";
import { escapeHtml, fixed, integer, percentWithError, withError } from "./format.ts";
import type { ReportInput } from "./input.ts";
import { ramachandranPlot } from "./plots/ramachandran.ts";

/** HTML; empty for what is no molecule, or has neither backbone torsions nor stereocentres. */
export function moleculeSection({ figures, ramachandran = [] }: ReportInput): string {
  const molecule = figures?.molecule;
  const plots = ramachandran.map((picture) => {
    const svg = ramachandranPlot(picture);
    const told = molecule?.ramachandran?.[picture.title];
    return svg === null
      ? ""
      : `<figure><h3>${
        escapeHtml(picture.title)
      }</h3>${svg}<figcaption>Free energy over (φ, ψ), each ` +
        `panel relative to its lowest cell; white: no sample.</figcaption></figure>` +
        (told ? table(told) : "");
  }).filter((part) => part !== "");
  const { chirality } = molecule ?? {};
  const hands = chirality
    ? `<p>Handedness: ${modes[chirality.mode]} Stereocentres: ${
      escapeHtml(chirality.stereocentres.join(", "))
    }; mirror images before folding ${
      percentWithError(chirality.mirrored, chirality.mirroredStdErr)
    }${
      chirality.otherDiastereomers > 0
        ? `, other diastereomers ${percentWithError(chirality.otherDiastereomers, undefined)}`
        : ""
    }.</p>`
    : "";
  return plots.length === 0 && hands === ""
    ? ""
    : `<section><h2>The molecule</h2>\n${[hands, ...plots].join("\n")}</section>`;
}

const modes = {
  keep: "the given one alone is the target.",
  both: "both are the target; plots show mirror images folded onto the given one.",
  fold: "both are the target, and every mirror image is shown folded onto the given one.",
} as const;

function table(f: RamachandranFigures): string {
  const { reference: r } = f;
  const floor = (x: { mean: number; deviation: number } | undefined) =>
    x ? `${fixed(x.mean, 4)} ± ${fixed(x.deviation, 4)}` : "";
  const cells = (label: string, note: string, own: string, other: string) =>
    `<tr><th scope="row">${label}${note && ` <small>${note}</small>`}</th><td>${own}</td>${
      r ? `<td>${other}</td>` : ""
    }</tr>`;
  const rows = [
    cells(
      "P(φ &gt; 0)",
      "",
      percentWithError(f.positivePhi, f.positivePhiStdErr),
      percentWithError(r?.positivePhi, r?.positivePhiStdErr),
    ),
    cells(
      "F(φ &gt; 0) − F(φ &lt; 0)",
      "kT",
      withError(f.freeEnergyDifference, f.freeEnergyDifferenceStdErr),
      withError(r?.freeEnergyDifference, r?.freeEnergyDifferenceStdErr),
    ),
    cells("Samples", "effective", integer(Math.round(f.effectiveSamples)), integer(r?.samples)),
  ];
  if (r) {
    const alone = (label: string, note: string, value: string) => cells(label, note, value, "");
    rows.push(
      alone("KL(reference ‖ samples)", "weighted", fixed(r.kl, 4)),
      alone("", "floor for these sizes", floor(r.klFloor)),
      alone("", "floor: halves of the reference", floor(r.klOfHalves)),
      alone("KL(reference ‖ Mint)", "as drawn", fixed(r.klPrior, 4)),
      alone("", "weighted", fixed(r.klPriorWeighted, 4)),
    );
  }
  return `<div class="scroll"><table class="figures"><thead><tr><td></td><th scope="col">Samples</th>${
    r ? '<th scope="col">Reference</th>' : ""
  }</tr></thead><tbody>${rows.join("")}</tbody></table></div>`;
}
