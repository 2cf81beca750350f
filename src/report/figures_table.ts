/** The table of results: one row for each figure, one column for each way of sampling. */
import {
  escapeHtml,
  fixed,
  integer,
  percent,
  percentWithError,
  seconds,
  withError,
} from "./format.ts";
import type { Figures, ReportInput } from "./input.ts";

interface Row {
  label: string;
  /** Explains the row; shown small beside the label. */
  note?: string;
  cell(figures: Figures): string;
  known?: { value: number; uncertainty: number };
  /** Value and error, for the distance from `known` in standard errors. */
  estimate?(figures: Figures): [number | undefined, number | undefined];
}

function rows(input: ReportInput): Row[] {
  const { exact, figures } = input;
  return [
    {
      label: essLabel(figures?.essOf),
      note: figures?.essOf === "ancestors" ? "descendants of one prior draw as one" : "pooled",
      cell: (f) => percentWithError(f.ess, f.essStdErr),
    },
    {
      label: "",
      note: "final weights alone: no path ESS",
      cell: (f) => percent(f.finalEss),
    },
    { label: "", note: "median of batches", cell: (f) => percent(f.essMedianOfBatches) },
    {
      label: "",
      note: "from the target",
      cell: (f) => percentWithError(f.essFromReference, f.essFromReferenceStdErr),
    },
    {
      label: "Islands",
      note: "number × population",
      cell: (f) =>
        f.islands === undefined ? "–" : `${integer(f.islands)} × ${integer(f.population)}`,
    },
    { label: "", note: "resamplings, mean", cell: (f) => fixed(f.resamplings, 1) },
    { label: "", note: "distinct ancestors, mean", cell: (f) => fixed(f.distinctAncestors, 0) },
    { label: "", note: "effective ancestors, mean", cell: (f) => fixed(f.effectiveAncestors, 1) },
    { label: "", note: "log Z, spread", cell: (f) => fixed(f.logZSpread, 3) },
    {
      label: "Chains",
      note: "number × kept draws",
      cell: (f) => f.chains === undefined ? "–" : `${integer(f.chains)} × ${integer(f.draws)}`,
    },
    { label: "", note: "acceptance", cell: (f) => percent(f.acceptance) },
    { label: "", note: "split R-hat, energy", cell: (f) => fixed(f.rHatEnergy, 4) },
    { label: "", note: "split R-hat, pair distance", cell: (f) => fixed(f.rHatPairDistance, 4) },
    {
      label: "",
      note: "autocorrelation time, energy (transitions)",
      cell: (f) => fixed(f.autocorrelationTimeEnergy, 1),
    },
    {
      label: "",
      note: "autocorrelation time, pair distance",
      cell: (f) => fixed(f.autocorrelationTimePairDistance, 1),
    },
    { label: "Largest weight", note: "share of all", cell: (f) => percent(f.largestWeightShare) },
    {
      label: "",
      note: "W − log Z, sampler",
      cell: (f) => fixed(f.maxLogWeight, 2),
    },
    {
      label: "",
      note: "W − log Z, target",
      cell: (f) => fixed(f.maxLogWeightFromReference, 2),
    },
    {
      label: "log Z",
      note: "from the sampler",
      cell: (f) => withError(f.logZ, f.logZStdErr),
      known: exact?.logZ,
      estimate: (f) => [f.logZ, f.logZStdErr],
    },
    {
      label: "",
      note: "from both ends",
      cell: (f) => withError(f.logZBothEnds, f.logZBothEndsStdErr),
      known: exact?.logZ,
      estimate: (f) => [f.logZBothEnds, f.logZBothEndsStdErr],
    },
    { label: "", note: "lower bound (ELBO)", cell: (f) => fixed(f.elbo, 3) },
    { label: "", note: "upper bound (EUBO)", cell: (f) => fixed(f.eubo, 3) },
    {
      label: "Mean energy",
      note: "⟨U⟩ / kT",
      cell: (f) => withError(f.meanEnergy, f.meanEnergyStdErr),
      known: exact?.meanEnergy,
      estimate: (f) => [f.meanEnergy, f.meanEnergyStdErr],
    },
    {
      label: "Mean pair distance",
      cell: (f) => withError(f.meanPairDistance, f.meanPairDistanceStdErr),
      known: exact?.meanPairDistance,
      estimate: (f) => [f.meanPairDistance, f.meanPairDistanceStdErr],
    },
    {
      label: "Energy W2",
      note: `square root${setSize(figures?.energyW2Samples)}`,
      cell: (f) => w2(f.energyW2, f.energyW2NoiseFloor, 3),
    },
    {
      label: "",
      note: "all samples, the whole reference",
      cell: (f) => w2(f.energyW2Whole, f.energyW2OfHalves, 3),
    },
    {
      label: "Distance W2",
      note: `squared${setSize(figures?.distanceW2Samples)}`,
      cell: (f) => w2(f.distanceW2, f.distanceW2NoiseFloor, 4),
    },
    ...identityRows(input),
    {
      label: "Failed paths",
      note: "not finite",
      cell: (f) => integer(f.nonFiniteWeights),
    },
    { label: "Samples", cell: (f) => integer(f.samples) },
    { label: "Steps", cell: (f) => integer(f.steps) },
    {
      label: "Energy evaluations",
      note: "per sample",
      cell: (f) => integer(f.energyEvaluationsPerSample),
    },
    {
      label: "",
      note: "flow sweeps, per sample",
      cell: (f) => f.flowPassesPerSample ? integer(f.flowPassesPerSample) : "–",
    },
    { label: "", note: "in training, in all", cell: (f) => integer(f.trainEvaluations) },
    { label: "Training time", cell: (f) => seconds(f.trainSeconds) },
    ...stageRows(figures),
    { label: "Sampling time", cell: (f) => seconds(f.sampleSeconds) },
  ];
}

/** Wall clock of every stage of training that took a tenth of a second. */
function stageRows(figures: Figures | undefined): Row[] {
  return Object.entries(figures?.trainStageSeconds ?? {}).filter(([, s]) => s >= 0.1).map((
    [name],
  ) => ({ label: "", note: name, cell: (f) => seconds(f.trainStageSeconds?.[name]) }));
}

/** Identities that hold for any equilibrium, of the first column's samples only. */
function identityRows({ identities, figures }: ReportInput): Row[] {
  if (!identities || !figures) return [];
  const { virial, laplacian } = identities;
  const row = (note: string, mean: number, error: number, value: number): Row => ({
    label: "Identities",
    note,
    cell: (f) => f === figures ? withError(mean, error) : "–",
    known: { value, uncertainty: 0 },
    estimate: (f) => f === figures ? [mean, error] : [undefined, undefined],
  });
  return [
    row("⟨x·∇U⟩", virial.mean, virial.standardError, virial.expected),
    row("⟨|∇U|²⟩ − ⟨ΔU⟩", laplacian.difference, laplacian.standardError, 0),
  ];
}

const essLabel = (of: Figures["essOf"]) =>
  of === "ancestors" ? "Ancestor ESS" : of === "chains" ? "Chain ESS" : "Path ESS";

const setSize = (n: number | undefined) => n === undefined ? "" : `, n = ${integer(n)}`;

/** A distance between sets, and what two sets of true samples of that size are apart. */
const w2 = (x: number | undefined, floor: number | null | undefined, digits: number) =>
  distance(x, digits) +
  (floor === null || floor === undefined ? "" : `<small>noise ${distance(floor, digits)}</small>`);

/** Two digits where `digits` decimals would show none (nm²). */
const distance = (x: number | undefined, digits: number) =>
  x !== undefined && x > 0 && x < 10 ** (1 - digits) ? x.toExponential(1) : fixed(x, digits);

/** "+0.8 standard errors" from a known value. */
export function deviation(
  value: number | undefined,
  error: number | undefined,
  known: { value: number; uncertainty: number } | undefined,
): string {
  if (value === undefined || error === undefined || !known) return "";
  const sigmas = (value - known.value) / Math.hypot(error, known.uncertainty);
  return Number.isFinite(sigmas)
    ? `${sigmas < 0 ? "" : "+"}${fixed(sigmas, Math.abs(sigmas) < 100 ? 1 : 0)} SE`
    : "";
}

/** A method in words. */
function methodTitle(method = "julep"): string {
  return titles[method] ?? escapeHtml(method);
}

const titles: Record<string, string> = {
  julep: "Mint + Julep",
  underdamped: "Underdamped path",
  adjusted: "Adjusted path",
  ais: "Annealed importance sampling",
  smc: "Sequential Monte Carlo",
  internal: "Path in internal coordinates",
  "internal-julep": "Julep in internal coordinates",
  mcmc: "HMC chains",
  pis: "PIS",
  dds: "DDS",
};

/** HTML; empty when there is no figure at all. Rows without any figure are left out. */
export function figuresTable(input: ReportInput): string {
  const columns = [
    { name: methodTitle(input.method), figures: input.figures },
    { name: "Control: no network", figures: input.control },
    { name: "Mint alone", figures: input.mintAlone },
  ].filter((column) => column.figures !== undefined) as { name: string; figures: Figures }[];
  if (columns.length === 0) return "";
  const exact = input.exact;
  const head = columns.map(({ name }) => `<th scope="col">${name}</th>`).join("") +
    (exact ? `<th scope="col">${exact.exact ? "Exact" : "Reference value"}</th>` : "");
  let group = "";
  const body = rows(input).map((row) => {
    group = row.label || group; // a row that is left out must not take its group's name with it
    return { ...row, group };
  }).filter((row) => columns.some(({ figures }) => row.cell(figures) !== "–"));
  const lines = body.map((row, k) => {
    const first = k === 0 || body[k - 1].group !== row.group;
    const span = body.filter((other) => other.group === row.group).length;
    const name = first
      ? `<th scope="rowgroup" rowspan="${span}">${escapeHtml(row.group)}</th>`
      : "";
    const cells = columns.map(({ figures }) => {
      const off = row.estimate ? deviation(...row.estimate(figures), row.known) : "";
      return `<td>${row.cell(figures)}${off ? `<small>${off}</small>` : ""}</td>`;
    }).join("");
    const known = exact ? `<td class="known">${row.known ? knownText(row.known) : ""}</td>` : "";
    return `<tr${first ? ' class="first"' : ""}>${name}<th scope="row">${
      escapeHtml(row.note ?? "")
    }</th>${cells}${known}</tr>`;
  });
  const source = exact ? `<p class="note">Known values: ${escapeHtml(exact.source)}.</p>` : "";
  return `<div class="scroll"><table class="figures"><thead><tr><td colspan="2"></td>${head}</tr></thead>` +
    `<tbody>${lines.join("\n")}</tbody></table></div>` +
    `<p class="note">± is one standard error; SE: distance from the known value in standard ` +
    `errors; W2 with its noise between true samples. A dash: not measured.</p>${source}`;
}

/** Exact values with at most ten decimals, estimates with their error. */
function knownText({ value, uncertainty }: { value: number; uncertainty: number }): string {
  if (uncertainty === 0) return fixed(value, 0);
  return uncertainty < 1e-6
    ? fixed(value, uncertainty < 1e-9 ? 9 : 6)
    : withError(value, uncertainty);
}
