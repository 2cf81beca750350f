/** What `table1` runs: systems, rows, how much of each, and the published figures beside them. */
import type { MethodName } from "../config/methods.ts";

export const tablePresets = ["dw4", "lj13", "lj13-eacf", "lj55"] as const;
export type TablePreset = (typeof tablePresets)[number];

/** Path ESS in per cent with its error as printed, of the paper's Table 1. */
export interface Published {
  readonly ess: number;
  readonly error?: number;
}

export interface TableRow {
  /** Name of the row's folder. */
  readonly name: string;
  readonly title: string;
  readonly method: MethodName;
  readonly published?: Partial<Record<TablePreset, Published>>;
}

/**
 * In the order they are run: the chains first, whose states are the reference of all others. The
 * control has no run of its own; it is evaluated with "julep".
 */
export const tableRows: readonly TableRow[] = [
  { name: "mcmc", title: "HMC chains", method: "mcmc" },
  {
    name: "julep",
    title: "MintJulep",
    method: "julep",
    published: {
      dw4: { ess: 83.7, error: 1.0 },
      lj13: { ess: 10.6, error: 1.4 },
      lj55: { ess: 1.0, error: 0.6 },
    },
  },
  { name: "underdamped", title: "underdamped, pair flow on clusters", method: "underdamped" },
  { name: "adjusted", title: "adjusted, pair flow on clusters", method: "adjusted" },
  { name: "smc", title: "Sequential Monte Carlo", method: "smc" },
  { name: "ais", title: "annealed importance sampling", method: "ais" },
  {
    name: "pis",
    title: "PIS",
    method: "pis",
    published: { dw4: { ess: 46.2 }, lj13: { ess: 1.2 }, lj55: { ess: 0.1 } },
  },
  {
    name: "dds",
    title: "DDS",
    method: "dds",
    published: { dw4: { ess: 46.1 }, lj13: { ess: 1.0 }, lj55: { ess: 0.1 } },
  },
];

/** Mean energies from elsewhere, for systems without an exact value (src/sampling/exact.ts). */
export const publishedEnergies: Partial<
  Record<TablePreset, { value: number; uncertainty: number; source: string }>
> = {
  "lj13-eacf": { value: 0.64, uncertainty: 0.05, source: "long runs of another sampler" },
};

/** How a row is run: fields to set, and the most samples worth their time. */
export interface Effort {
  readonly set: readonly string[];
  readonly samples: number;
  /** Why it is not run at all. */
  readonly left?: string;
}

const SHORT_MINT = ["mint.iterations=300", "mint.samples=256"];

const networks = (method: MethodName) => ["julep", "pis", "dds"].includes(method);

/**
 * What one row of a system is worth. Sizes are such that on two cores --quick takes six or seven minutes,
 * and all in full about 60: paths of a network cost 2 (dw4), 16 (lj13) and 300 (lj55) ms of one core,
 * those of the comparators' smaller networks a third, those without a network hundredths; but 35 ms one
 * of lj55 backward from the reference, where every flow is inverted, as those of Julep's steps are.
 */
export function effort(preset: TablePreset, row: TableRow, quick: boolean): Effort {
  const { method } = row;
  if (method === "mcmc") {
    if (quick) return { set: ["chains.thin=25"], samples: 3200 };
    return { set: [], samples: preset === "dw4" ? 25_600 : preset === "lj55" ? 3200 : 10_000 };
  }
  if (networks(method)) return networkEffort(preset, method, quick);
  if (preset === "lj55") return { set: [], samples: quick ? 160 : 10_000 };
  if (!quick) return { set: [], samples: Infinity };
  const mint = preset === "dw4" && (method === "underdamped" || method === "adjusted");
  return { set: mint ? SHORT_MINT : [], samples: 5000 };
}

function networkEffort(preset: TablePreset, method: MethodName, quick: boolean): Effort {
  const julep = method === "julep";
  const iterations = (n: number) => `julep.iterations=${n}`;
  const few = "julep.samples=16";
  switch (preset) {
    case "dw4": {
      if (!quick) return { set: [], samples: Infinity };
      return { set: julep ? [...SHORT_MINT, iterations(20)] : [iterations(50)], samples: 4000 };
    }
    case "lj55": {
      if (quick) return { set: [iterations(1), few], samples: julep ? 20 : 50 };
      return { set: [iterations(8), few], samples: julep ? 160 : 300 };
    }
    default: {
      if (quick) return { set: [iterations(julep ? 3 : 5)], samples: 400 };
      // The comparators go on improving for about a thousand iterations of 0.4 s; Julep's take 2.7 s.
      if (preset === "lj13") return { set: [iterations(julep ? 300 : 1200)], samples: 10_000 };
      return { set: [iterations(julep ? 50 : 400)], samples: julep ? 4000 : 10_000 };
    }
  }
}
