/** The report of a run: one HTML file that opens offline. */
import { configTables } from "./config_table.ts";
import { deviation, figuresTable } from "./figures_table.ts";
import { normaliserFigures } from "../mint/families.ts";
import type { PermutationTreatment } from "../mint/family.ts";
import type { MintModel } from "../mint/model.ts";
import { permutationTreatment } from "../mint/permutations.ts";
import { escapeHtml, integer, percent, percentWithError, withError } from "./format.ts";
import type { ReportInput } from "./input.ts";
import { moleculeSection } from "./molecule.ts";
import { page } from "./page.ts";
import { energyPlot } from "./plots/energies.ts";
import { pairDistancePlot } from "./plots/pair_distances.ts";
import { priorDensityPlot, priorModesPlot } from "./plots/prior_modes.ts";
import { runningEssPlot } from "./plots/running_ess.ts";
import { julepTrainingPlots, mintTrainingPlots } from "./plots/training.ts";
import { weightPlot } from "./plots/weights.ts";

/**
 * The whole report as HTML text, under 1 MB whatever the number of samples. Parts whose input is
 * missing or cannot be drawn are left out; equal input gives equal text.
 */
export function renderReport(input: ReportInput): string {
  return page({
    title: `${input.config.preset}: MintJulep report`,
    header: header(input),
    body: [
      tiles(input),
      warningBox(input),
      results(input),
      moleculeSection(input),
      distributionSection(input),
      priorSection(input),
      trainingSection(input),
      section("Configuration", configTables(input.config)),
      reproduce(input),
      section("How to read this", terms),
    ].filter((part) => part !== "").join("\n"),
    footer: `<p class="note">${escapeHtml(input.madeWith ?? "MintJulep")}</p>`,
  });
}

const section = (title: string, ...parts: string[]) =>
  parts.some((part) => part !== "")
    ? `<section><h2>${title}</h2>\n${parts.filter((part) => part !== "").join("\n")}</section>`
    : "";

function figure(title: string, svg: string | null, caption: string): string {
  if (svg === null) return "";
  return `<figure><h3>${title}</h3>${svg}<figcaption>${caption}</figcaption></figure>`;
}

const grid = (figures: string[], kind = "") =>
  figures.some((f) => f !== "") ? `<div class="plots ${kind}">${figures.join("\n")}</div>` : "";

function header({ config, definition, hash }: ReportInput): string {
  return `<p class="eyebrow">Exactly weighted equilibrium samples</p>
<h1>${escapeHtml(config.preset)}</h1>
<p class="definition mono">${escapeHtml(definition)}</p>
<p class="muted">system <code>${escapeHtml(hash)}</code> · seed ${
    escapeHtml(String(config.seed))
  }</p>`;
}

/** The figures a reader looks for first. */
function tiles({ figures: f, exact }: ReportInput): string {
  if (!f) return "";
  const found: [string, string, string][] = [];
  if (f.ess !== undefined) {
    const n = f.samples === undefined ? "" : `${integer(f.samples)} samples`;
    const name = f.essOf === "ancestors"
      ? "Ancestor ESS"
      : f.essOf === "chains"
      ? "Chain ESS"
      : "Path ESS";
    found.push([name, percentWithError(f.ess, f.essStdErr), n]);
  }
  if (f.essFromReference !== undefined) {
    found.push([
      "ESS from the target",
      percentWithError(f.essFromReference, f.essFromReferenceStdErr),
      "sees what the sampler misses",
    ]);
  }
  const against = (known: { value: number; uncertainty: number } | undefined, off: string) =>
    known
      ? `${exact?.exact ? "exact" : "reference"} ${
        withError(known.value, known.uncertainty < 1e-6 ? 1e-4 : known.uncertainty).split(" ±")[0]
      }${off ? `, ${off}` : ""}`
      : "";
  if (f.logZ !== undefined) {
    const off = deviation(f.logZ, f.logZStdErr, exact?.logZ);
    found.push(["log Z", withError(f.logZ, f.logZStdErr), against(exact?.logZ, off)]);
  }
  if (f.meanEnergy !== undefined) {
    const off = deviation(f.meanEnergy, f.meanEnergyStdErr, exact?.meanEnergy);
    const value = withError(f.meanEnergy, f.meanEnergyStdErr);
    found.push(["Mean energy / kT", value, against(exact?.meanEnergy, off)]);
  }
  if (found.length === 0) return "";
  return `<dl class="tiles">${
    found.map(([name, value, small]) =>
      `<div><dt>${name}</dt><dd>${value}<small>${small || "&nbsp;"}</small></dd></div>`
    ).join("")
  }</dl>`;
}

function warningBox({ warnings }: ReportInput): string {
  if (!warnings) return "";
  if (warnings.length === 0) {
    return `<p class="note">No warning was raised by the checks described at the end. That is ` +
      `evidence, not proof.</p>`;
  }
  return `<aside class="warnings"><h2>${
    warnings.length === 1 ? "A warning" : `${warnings.length} warnings`
  }</h2><ul>${warnings.map((w) => `<li>${escapeHtml(w)}</li>`).join("")}</ul></aside>`;
}

function results(input: ReportInput): string {
  const table = figuresTable(input);
  if (table === "") return "";
  const { figures, control } = input;
  const both = figures?.ess !== undefined && control?.ess !== undefined;
  const remark = both
    ? `<p>The control takes the same prior and the same number of steps without the network, at ` +
      `its best step size. The network moves the path ESS from ${percent(control!.ess)} to ` +
      `${percent(figures!.ess)}.</p>`
    : "";
  return section("Results", remark, table);
}

function legend(input: ReportInput): string {
  const entries: [string, string, string][] = [];
  if (input.prior) entries.push(["prior", "prior", ""]);
  if (input.samples) entries.push(["samples", "weighted samples", ""]);
  if (input.reference || input.logWeightsFromReference) {
    entries.push(["reference", "reference samples", "dashed"]);
  }
  return entries.length === 0
    ? ""
    : `<ul class="legend">${
      entries.map(([colour, name, kind]) =>
        `<li><i class="${kind}" style="border-color:var(--${colour})"></i>${name}</li>`
      ).join("")
    }</ul>`;
}

function distributionSection(input: ReportInput): string {
  const exactMean = input.exact ? " The dotted line is the known mean." : "";
  const plots = grid([
    figure(
      "Distances between particles",
      pairDistancePlot(input),
      "All pairs. Weighted samples and reference should coincide; the prior need only cover them.",
    ),
    figure("Energies", energyPlot(input), `U / kT.${exactMean}`),
    figure(
      "Log-weights",
      weightPlot(input),
      "W − log Z on a logarithmic scale. From the reference, the curve is the sampler's times " +
        "e<sup>W − log Z</sup>: a bump far to the right is a region the sampler misses.",
    ),
    figure(
      "ESS of the first n samples",
      runningEssPlot(input),
      "Sudden drops are rare large weights. Dashed: the ESS from the target.",
    ),
  ]);
  return plots === "" ? "" : section("Samples", legend(input), plots);
}

const permutations: Record<PermutationTreatment, string> = {
  enumerated: "averaged over all labellings of identical particles",
  invariant: "invariant under relabelling of identical particles",
  none: "<strong>not averaged over the labellings of identical particles</strong>",
};

/** What is known of estimated normalisers; empty for exact families. */
function normaliserRemark(mint: MintModel): string {
  const found = normaliserFigures(mint);
  if (!found) return "";
  const laplace = found.laplaceError === null
    ? "does not exist for every component"
    : `is off by up to ${found.laplaceError.toPrecision(2)}`;
  return `<p>Its normalisers have no closed form: they are estimated by importance sampling, with ` +
    `a standard error of log Z of at most ${found.largestError.toPrecision(2)} and an ESS of at ` +
    `least ${percent(found.smallestEss)}; Laplace's approximation alone ${laplace}. Log-weights ` +
    `carry that error.</p>`;
}

function priorSection({ mint }: ReportInput): string {
  if (!mint) return "";
  const broad = `a broad Gaussian of weight ${percent(mint.broadWeight)} and standard deviation ` +
    `${mint.broadScale.toPrecision(4)} per coordinate`;
  const intro = mint.components === 0
    ? `<p>The prior is ${broad}.</p>`
    : `<p>The prior has ${mint.components} components of the family ${mint.family}, ${
      permutations[permutationTreatment(mint)]
    } and over rotations and reflections, and ${broad}.</p>${normaliserRemark(mint)}`;
  const plots = grid([
    figure(
      "Particles around the anchor",
      priorDensityPlot(mint),
      "Density of the mixture in the plane. The dot is the anchor particle at the origin. Each " +
        "component is turned so that its particle nearest to the anchor lies to the right, and " +
        "shown before averaging over rotations and labellings.",
    ),
    figure(
      "Components",
      priorModesPlot(mint),
      "The mean configuration of each component with its weight, heaviest first; outlines are one " +
        "standard deviation.",
    ),
  ]);
  return section("Mint: the prior", intro, plots);
}

function trainingSection(input: ReportInput): string {
  const wrap = (plots: string[]) => grid(plots.map((svg) => `<figure>${svg}</figure>`), "small");
  const mint = wrap(mintTrainingPlots(input)), julep = wrap(julepTrainingPlots(input));
  const exact = input.exact?.logZ && (input.julepCurve || input.mintCurve)
    ? `<p class="note">Dashed: the ${input.exact.exact ? "exact" : "reference"} log Z, and the ` +
      `step size before training.</p>`
    : "";
  return section(
    "Training",
    mint && `<h3>Mint</h3>${mint}`,
    julep && `<h3>Julep</h3>${julep}${exact}`,
  );
}

function reproduce({ command }: ReportInput): string {
  if (!command) return "";
  return section(
    "Repeat it",
    `<pre><code>${escapeHtml(command)}</code></pre>`,
    `<p class="note">The same seed gives the same samples for any number of workers.</p>`,
  );
}

const terms = `<dl class="terms">
<dt>W</dt><dd>Log-weight of a path from prior to target. E[e<sup>W</sup>] = Z whatever the networks
do, so weighted averages are exact in the limit of many samples.</dd>
<dt>Path ESS</dt><dd>(Σw)² / (n Σw²), w = e<sup>W</sup>: the fraction of equally weighted samples
that would be worth as much. It cannot see a region that is never visited.</dd>
<dt>ESS from the target</dt><dd>1 / E<sub>p</sub>[e<sup>W − log Z</sup>] over paths run backward from
samples of the target. The two must agree; where this one is smaller, the sampler misses something.</dd>
<dt>Ancestor ESS</dt><dd>After resampling: (Σ<sub>a</sub>w<sub>a</sub>)² / (n
Σ<sub>a</sub>w<sub>a</sub>²) with w<sub>a</sub> the weight of all descendants of one prior draw. The ESS
of the final weights is larger and no path ESS: resampling makes weights equal by copying.</dd>
<dt>Chain ESS</dt><dd>Kept draws over the autocorrelation time of the energy; split R-hat compares
halves of all chains and should be below 1.01.</dd>
<dt>log Z</dt><dd>log of the mean of e<sup>W</sup>, in the measure in which one particle is held at the
origin; standard error by a delete-one-block jackknife over 100 blocks. From both ends: Bennett's
acceptance ratio of the forward and backward weights, right even where the sampler misses modes.</dd>
<dt>EUBO</dt><dd>Mean of W over backward paths from the target; log Z cannot lie above it.</dd>
<dt>KL</dt><dd>KL(reference ‖ samples) = Σ p log p/q of (φ, ψ) histograms on 64 × 64 cells, 1e-5 added
to every cell of both. Finite samples of one and the same distribution have a KL above zero: the floor, for
a reference and an effective number of samples as large as these.</dd>
<dt>W2</dt><dd>Wasserstein-2 distance to the reference samples; it shrinks with the number of samples
compared, so it means nothing without it.</dd>
</dl>`;
