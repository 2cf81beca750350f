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
  lj55: { value: -324.89, uncertainty: 0.44, source: "published reference samples" },
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

/** What one row of a system is worth. */
export function effort(preset: TablePreset, row: TableRow, quick: boolean): Effort {
  const large = preset === "lj55";
  const { method } = row;
  if (method === "mcmc") {
    const thin = (n: number) => [`chains.thin=${preset === "dw4" ? 4 * n : n}`];
    if (quick) return { set: thin(large ? 20 : 100), samples: large ? 640 : 3200 };
    return { set: thin(large ? 100 : 200), samples: large ? 6400 : 25_600 };
  }
  if (networks(method)) {
    const tiny = method === "julep" && preset === "dw4" ? SHORT_MINT : [];
    if (large && quick) {
      return { set: [], samples: 0, left: "a network on 55 particles does not fit into --quick" };
    }
    if (large) return { set: ["julep.iterations=20", "julep.samples=32"], samples: 2000 };
    if (quick) {
      const iterations = preset === "dw4" ? 40 : 6;
      return {
        set: [...tiny, `julep.iterations=${iterations}`],
        samples: preset === "dw4" ? 10_000 : 2000,
      };
    }
    return { set: [], samples: Infinity };
  }
  if (quick) {
    const mint = preset === "dw4" && (method === "underdamped" || method === "adjusted");
    return { set: mint ? SHORT_MINT : [], samples: large ? 2000 : 10_000 };
  }
  return { set: [], samples: large ? 20_000 : Infinity };
}
