/**
 * Checks that the code keeps to ARCHITECTURE.md: who may import whom, and that every kernel stands
 * in each of its places under one base name. Prints one line for each fault; exit code 1 if any.
 *
 * Usage: deno run -A tools/check_map.ts
 */
import { basename, posix } from "node:path";

/**
 * Folder (or single file) of src/ → what it may import besides itself. Stages stand in the order
 * of the work; none imports a later one.
 */
const mayImport: Record<string, readonly string[]> = {
  "errors.ts": [],
  "version.ts": [],
  math: ["errors.ts"],
  io: ["errors.ts", "math"],
  config: ["errors.ts", "io"],
  systems: ["errors.ts", "math", "config"],
  mint: ["errors.ts", "math", "config", "systems"],
  julep: ["errors.ts", "math", "config", "systems", "mint", "path"],
  path: ["errors.ts", "math", "config", "systems", "mint"],
  sampling: ["errors.ts", "math", "config", "systems", "mint", "julep", "path"],
  backends: ["errors.ts", "math", "config", "systems", "mint", "julep", "path"],
  workers: ["errors.ts", "backends"],
  report: ["errors.ts", "math", "config", "systems", "mint", "julep", "path", "sampling"],
  run: [
    "errors.ts",
    "version.ts",
    "math",
    "io",
    "config",
    "systems",
    "mint",
    "julep",
    "path",
    "sampling",
    "backends",
    "workers",
    "report",
  ],
  // The command line prints what run/ says; it computes nothing.
  cli: ["errors.ts", "version.ts", "io", "config", "backends", "run"],
};

/** Files any stage may import: interfaces, and plain functions of arrays. */
const free: Record<string, string> = {
  "backends/backend.ts": "the interface of what runs the stages; implementations are not free",
  "sampling/weights.ts": "ESS and log Z of an array of log-weights; training shows them too",
};

/** A backend does jobs on plain models; how models are trained is not its business. */
const trainingOnly = /^(mint|julep)\/(train|loss|start)\.ts$/;

/** Places a kernel may lack, each with the reason. A reason that no longer holds is a fault. */
const exclusions: Record<string, { reference?: string; conformance?: string }> = {
  index: { reference: "joins the kernels' exports", conformance: "joins the kernels' exports" },
  simd: {
    reference: "one-instruction helpers",
    conformance: "covered by every kernel that uses it",
  },
  math: { reference: "the oracle is Math.* and src/math/special.ts" },
  threefry: { reference: "the oracle is src/math/random.ts" },
  pair_kick: { reference: "part of pair_energies and path", conformance: "in path_test.ts" },
  target_energy: { reference: "the oracle is src/systems/lennard_jones.ts" },
  underdamped: { reference: "part of path", conformance: "in path_test.ts" },
  population_weights: { reference: "the oracle is src/backends/smc.ts" },
  gemm: { reference: "the oracle is the definition, written out in its test" },
  egnn_backward: { reference: "second half of egnn", conformance: "in egnn_test.ts" },
  egnn_input: { reference: "part of egnn", conformance: "in controlled_diffusion_test.ts" },
  egnn_types: { reference: "part of egnn", conformance: "in egnn_test.ts" },
  egnn_layout: { reference: "offsets of egnn", conformance: "in egnn_test.ts" },
  internal_coordinates: {
    reference: "the oracle is src/systems/molecule/zmatrix.ts",
    conformance: "in internal_path_test.ts",
  },
  internal_prior: {
    reference: "the oracles are src/mint/molecule/laplace.ts and torsion_grid.ts",
    conformance: "in internal_path_test.ts",
  },
  molecule_geometry: {
    reference: "bonded terms of molecule_energies",
    conformance: "in molecule_energies_test.ts",
  },
  gaussian_scales: {
    reference: "mean zero and one scale of orbit_gaussian",
    conformance: "in orbit_gaussian_test.ts",
  },
  orbit_gaussian_plane: {
    reference: "n = 2 of orbit_gaussian",
    conformance: "in orbit_gaussian_test.ts",
  },
  mint_prior: { reference: "calls the family's kernel", conformance: "in every family's test" },
  orbit_integral3: {
    reference: "the oracle is src/mint/orbit_integral.ts",
    conformance: "in orbit_vmf_test.ts",
  },
  orbit_vmf_layout: { reference: "offsets of orbit_vmf", conformance: "in orbit_vmf_test.ts" },
  orbit_vmf_parameters: { reference: "part of orbit_vmf", conformance: "in orbit_vmf_test.ts" },
  orbit_vmf_plane: { reference: "n = 2 of orbit_vmf", conformance: "in orbit_vmf_test.ts" },
  orbit_vmf_space: { reference: "n = 3 of orbit_vmf", conformance: "in orbit_vmf_test.ts" },
};

/** WGSL kernels without an AssemblyScript one of the same name, each with the reason. */
const onlyWgsl: Record<string, string> = {
  adam: "training's update; elsewhere the host does it (src/math/adam.ts). In adam_test.ts",
  gradient_norm: "as adam: clipping and the knots' gradient. In adam_test.ts",
  log_variance: "as adam: the loss (src/julep/loss.ts). In log_variance_test.ts",
  step_sizes: "as adam: the schedule of ε (src/julep/schedule.ts). In adam_test.ts",
  reverse_divergence: "as log_variance, for PIS. In log_variance_test.ts",
  controlled_diffusion_gradient:
    "second half of controlled_diffusion (one file in assembly). In controlled_diffusion_test.ts",
  reduce: "adds the workgroups' gradients; elsewhere the host does. In egnn_test.ts",
  julep_gradient: "second half of julep (one file in assembly). In julep_test.ts",
};

/** WGSL kernels whose name is in assembly/, or which are excluded with a reason; one line a fault. */
export function shaderFaults(
  shaders: readonly string[],
  assembly: readonly string[],
  excluded: Readonly<Record<string, string>> = onlyWgsl,
): string[] {
  const faults = shaders.filter((name) => !assembly.includes(name) && !excluded[name])
    .map((name) => `shaders/${name}.wgsl has no assembly/${name}.ts`);
  for (const name of Object.keys(excluded)) {
    if (!shaders.includes(name)) {
      faults.push(`tools/check_map.ts excludes ${name}, but there is no shaders/${name}.wgsl`);
    }
  }
  return faults;
}

/** Files of src/backends/reference/ that are no kernel. */
const notKernels = ["executor"];

const importPattern = /(?:\bfrom\s*|\bimport\s*\(?\s*|\bnew URL\s*\(\s*)"(\.[^"]*\.ts)"/g;

/**
 * Imports against the rules, one line each.
 *
 * @param sources path below src/ → text of each file
 */
export function wrongImports(sources: ReadonlyMap<string, string>): string[] {
  const faults: string[] = [];
  for (const [path, text] of sources) {
    const place = path.split("/")[0];
    if (path === "mod.ts") continue; // the library is everything
    if (mayImport[place] === undefined) {
      faults.push(`src/${place} has no rule: say in tools/check_map.ts what it may import`);
      continue;
    }
    for (const [, specifier] of text.matchAll(importPattern)) {
      const target = posix.join(posix.dirname(path), specifier);
      const targetPlace = target.split("/")[0];
      if (targetPlace === place || free[target] !== undefined) continue;
      if (!mayImport[place].includes(targetPlace)) {
        faults.push(`src/${path} imports src/${target}: ${place} may not import ${targetPlace}`);
      } else if (place === "backends" && trainingOnly.test(target)) {
        faults.push(`src/${path} imports src/${target}: a backend may not import training`);
      }
    }
  }
  return faults;
}

/** Base names of the three places of kernels. */
export interface KernelPlaces {
  /** assembly/<kernel>.ts */
  readonly assembly: readonly string[];
  /** src/backends/reference/<kernel>.ts */
  readonly reference: readonly string[];
  /** tests/conformance/<kernel>_test.ts */
  readonly conformance: readonly string[];
}

/** Kernels that lack a place, and exclusions that are out of date; one line each. */
export function kernelFaults(
  places: KernelPlaces,
  excluded: typeof exclusions = exclusions,
): string[] {
  const faults: string[] = [];
  const files = {
    reference: (kernel: string) => `src/backends/reference/${kernel}.ts`,
    conformance: (kernel: string) => `tests/conformance/${kernel}_test.ts`,
  };
  for (const kernel of places.assembly) {
    for (const place of ["reference", "conformance"] as const) {
      const there = places[place].includes(kernel);
      const reason = excluded[kernel]?.[place];
      if (!there && reason === undefined) {
        faults.push(`assembly/${kernel}.ts has no ${files[place](kernel)}`);
      } else if (there && reason !== undefined) {
        faults.push(
          `${files[place](kernel)} exists, yet is excluded as "${reason}" in tools/check_map.ts`,
        );
      }
    }
  }
  for (const kernel of Object.keys(excluded)) {
    if (!places.assembly.includes(kernel)) {
      faults.push(`tools/check_map.ts excludes ${kernel}, but there is no assembly/${kernel}.ts`);
    }
  }
  for (const kernel of places.reference) {
    if (!places.assembly.includes(kernel) && !notKernels.includes(kernel)) {
      faults.push(`${files.reference(kernel)} has no assembly/${kernel}.ts`);
    }
  }
  return faults;
}

const root = new URL("../", import.meta.url);

function* filesBelow(folder: URL, prefix = ""): Iterable<string> {
  for (const entry of Deno.readDirSync(folder)) {
    if (entry.isDirectory) {
      yield* filesBelow(new URL(`${entry.name}/`, folder), `${prefix}${entry.name}/`);
    } else if (/\.(ts|wgsl)$/.test(entry.name)) yield prefix + entry.name;
  }
}

/** All faults of the checkout. */
export function checkMap(): string[] {
  const src = new URL("src/", root);
  const paths = [...filesBelow(src)].filter((path) => !path.endsWith(".gen.ts")).sort();
  const sources = new Map(paths.map((path) => [path, Deno.readTextFileSync(new URL(path, src))]));
  const names = (folder: string, end: string) =>
    [...filesBelow(new URL(folder, root))].filter((p) => p.endsWith(end) && !p.includes("/"))
      .map((path) => basename(path, end)).sort();
  return [
    ...wrongImports(sources),
    ...kernelFaults({
      assembly: names("assembly/", ".ts"),
      reference: names("src/backends/reference/", ".ts"),
      conformance: names("tests/conformance/", "_test.ts"),
    }),
    ...shaderFaults(names("shaders/", ".wgsl"), names("assembly/", ".ts")),
  ];
}

if (import.meta.main) {
  const faults = checkMap();
  for (const fault of faults) console.error(fault);
  if (faults.length === 0) console.log("The map holds: imports and kernels are where they belong.");
  Deno.exit(faults.length === 0 ? 0 : 1);
}
