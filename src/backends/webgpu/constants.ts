/**
 * The constants of a problem that kernels are compiled with (sizes, switches, pair parameters), and the
 * places in a workgroup's scratch. Text, so that loops and arrays have known lengths.
 */
import { EGNN_SHAPE_WITHOUT_NETWORK, type PackedShape, packedShape } from "./egnn.ts";
import type { MintModel } from "../../mint/model.ts";
import type { JulepModel } from "../../julep/model.ts";
import type { System } from "../../systems/system.ts";
import { priorLayout, priorParts } from "./mint_prior.ts";

/** What a set of kernels is for: each keeps different things in its scratch. */
export type Purpose = "trajectories" | "gradient" | "path";

/** What kernels of annealing paths are compiled for. */
export interface PathShape {
  /** Levels mix prior and system; else they are a cluster's own. */
  readonly mixture: boolean;
  /** The confinement of a cluster's levels saturates. */
  readonly saturates: boolean;
  readonly adjusted: boolean;
  /** States have low parts (shaders/common/two_floats.wgsl). */
  readonly twoFloats: boolean;
  readonly forward: boolean;
  /** Samples move by HMC after resampling. */
  readonly moves: boolean;
  /** The pair flow's tables; null: no flow. */
  readonly flow: { readonly cells: number; readonly width: number } | null;
}

export interface ConstantsInput {
  readonly system: Pick<System, "particles" | "dimension" | "pairKernel">;
  readonly mint: MintModel | null;
  readonly julep: Omit<JulepModel, "parameters" | "logStepSize"> | null;
  readonly purpose: Purpose;
  /** "path" only. */
  readonly path?: PathShape;
  /** "gradient" only: gradients by the positions too. */
  readonly inputGradient?: boolean;
  /** Table of a pair drift; that of `julep` by default. */
  readonly drift?: { readonly cells: number; readonly width: number } | null;
}

/** What a kernel is compiled with. */
export interface Constants {
  readonly text: string;
  /** Threads of a workgroup. */
  readonly threads: number;
  /** Numbers of scratch for one workgroup. */
  readonly workSize: number;
  /** Bytes of workgroup memory that kernels use beside the scratch. */
  readonly tileBytes: number;
}

export interface ProblemConstants extends Constants {
  /** Numbers the network gives for a state. */
  readonly outputs: number;
  readonly network: PackedShape;
}

/** A number as WGSL spells a f32. */
function float(value: number): string {
  const rounded = Math.fround(value);
  if (!Number.isFinite(rounded)) throw new RangeError(`${value} has no finite f32`);
  return `f32(${rounded})`;
}

/** Edges of a tile: at most a thousand numbers for each of the two tiles, four edges at least. */
export function tileEdges(particles: number, hidden: number): number {
  const edges = Math.ceil(particles * (particles - 1) / 4) * 4;
  return Math.min(edges, Math.max(4, Math.floor(1024 / hidden / 4) * 4), 64);
}

/** Threads: a few hundred where particles are many; 256 is every device's limit. */
function threadsFor(particles: number, network: boolean): number {
  // Potentials alone give every particle a thread; the network has work for many more.
  if (!network) return Math.min(256, Math.max(16, 2 ** Math.ceil(Math.log2(particles))));
  return particles < 8 ? 64 : particles < 32 ? 128 : 256;
}

export function problemConstants(
  {
    system,
    mint,
    julep,
    purpose,
    path,
    inputGradient = false,
    drift = julep?.pairDrift ?? null,
  }: ConstantsInput,
): ProblemConstants {
  const { particles: N, dimension: n, pairKernel } = system;
  const size = N * n;
  const gradient = purpose === "gradient";
  const shape = julep?.network ?? { ...EGNN_SHAPE_WITHOUT_NETWORK, particles: N, dimension: n };
  const network = packedShape(shape);
  const H = shape.hidden;
  const L = shape.layers;
  // One channel stands in where there is none: lengths must not be zero.
  const C = Math.max(1, shape.channels);
  const outputs = 2 * size + N * C + C;
  const prior = mint ? priorLayout(mint) : { labellings: 1, offsets: {} };
  const flow = path?.flow ?? julep?.pairFlow ?? null;
  const own = julep?.path?.levels;
  const threads = threadsFor(N, Boolean(julep) || purpose === "path" && Boolean(mint?.components));
  const TE = tileEdges(N, H);

  const numbers: Record<string, number> = {
    W: threads,
    N,
    DIM: n,
    SIZE: size,
    C,
    KIND: pairKernel.kind,
    K: mint?.components ?? 0,
    G: prior.labellings,
    LABELLINGS: 0,
    ANCHORS: 0,
    NODE_TABLES: 0,
    COMPONENTS: 0,
    COMPONENT_STRIDE: 0,
    ...prior.offsets,
    H,
    LAYERS: L,
    TE,
    OUTPUTS: outputs,
    CELLS: Math.max(1, drift?.cells ?? 0),
    DRIFT_NODES: (drift?.cells ?? 0) + 1,
    GAUGE: julep?.gauge === "anchor" ? 0 : 1,
    FLOW_CELLS: flow?.cells ?? 1,
    LOW: 0,
    // One stands in where there is none, as above.
    INPUT_EDGES: inputGradient ? TE : 1,
    ...network.offsets,
  };
  const regions = new Map<string, number>();
  let workSize = 0;
  const place = (name: string, length: number) => {
    regions.set(name, workSize);
    workSize += length;
  };
  const terms = numbers.K * numbers.G;
  const priorSize = numbers.K > 0 ? N * N * (n + 2) + terms + N * N * n : 0;
  if (purpose === "path") {
    // The state first, as it stands in the carry (shaders/path.wgsl).
    for (const name of ["X", "VELOCITY"]) place(name, size);
    const low = path?.twoFloats ? workSize : 0;
    numbers.LOW = low;
    place("LOW_PARTS", low);
    for (const name of ["KICK", "MOMENTUM", "PROPOSAL", "GRADIENT"]) place(name, size);
    place("NOISE", N);
    place("NOISE_LOW", N);
    place("PRIOR_WORK", priorSize);
  } else {
    for (const name of ["X", "FORCE", "GRADIENT", "VELOCITY"]) place(name, size);
    place("NET", outputs);
    if (gradient) {
      for (const name of ["OUTPUT", "ADJOINT"]) place(name, outputs);
      for (const name of ["RESIDUAL", "AFTER"]) place(name, size);
      place("DEPARTED", flow ? size : 0);
      for (const name of ["LAMBDA", "SHIFTED", "BEFORE"]) place(name, inputGradient ? size : 0);
    } else {
      for (const name of ["MOVE", "BACK", "NOISE"]) place(name, size);
    }
    place("SMALL", C * C + 4 * C * n + n * C * C);
    // The prior's scratch and the network's are never in use together.
    const shared = workSize;
    place("NODES_AT", (gradient ? L + 1 : 1) * N * 2 * H);
    place("PI", N * H);
    place("PJ", N * H);
    place("UU", (gradient ? L : 1) * N * H);
    if (gradient) {
      place("DH", N * H);
      place("DNODE", N * 2 * H);
      for (const name of ["DU", "DI", "DJ"]) place(name, N * H);
    } else {
      regions.set("PRIOR_WORK", shared);
      workSize = Math.max(workSize, shared + priorSize);
    }
  }
  const pair = [...pairKernel.parameters, 0, 0, 0, 0].slice(0, 4);
  const switches: Record<string, boolean> = {
    TAPE: gradient,
    INPUT_GRADIENT: inputGradient,
    TARGET_FORCE: julep?.diffusion?.targetForce ?? false,
    NETWORK: Boolean(julep?.network),
    MATRIX: shape.channels > 0,
    OWN_LEVELS: Boolean(julep?.path),
    PAIR_DRIFT: Boolean(drift),
    SIGNED: julep?.matrix !== "positive",
    DRIFT: julep?.drift ?? true,
    EVEN_DRIFT: julep?.evenDrift ?? true,
    ANCHORED: shape.anchored,
    MEANS: mint?.gaussian?.mean !== "zero",
    MIXTURE: path?.mixture ?? false,
    SATURATES: path?.saturates ?? Boolean(own?.saturation),
    ADJUSTED: path?.adjusted ?? false,
    FORWARD: path?.forward ?? false,
    MOVES: path?.moves ?? false,
    FLOW: Boolean(flow),
  };
  const lastOfCentred = 1 / (Math.sqrt(N) - 1);
  const floats: Record<string, number> = {
    INVERSE_WIDTH: drift ? 1 / drift.width : 0,
    INVERSE_LENGTH: 1 / shape.lengthScale,
    INVERSE_ROOT_N: 1 / Math.sqrt(N),
    LAST_OF_CENTRED: lastOfCentred,
    LAST_OF_CENTRED_LOW: lastOfCentred - Math.fround(lastOfCentred),
    FLOW_WIDTH: flow?.width ?? 1,
    FLOW_INVERSE_WIDTH: 1 / (flow?.width ?? 1),
    // Of a cluster's own levels under Julep's kernels; a path brings them with its levels.
    TARGET_CONFINEMENT: own ? own.confinement[own.confinement.length - 1] : 0,
    INVERSE_SATURATION: own?.saturation ? 1 / own.saturation ** 2 : 0,
  };
  const text = [
    `// prior: ${priorParts(mint).join(" ")}`,
    ...Object.entries(numbers).map(([name, v]) => `const ${name}: u32 = ${v}u;`),
    ...[...regions].map(([name, v]) => `const ${name}: u32 = ${v}u;`),
    `const WORK_SIZE: u32 = ${workSize}u;`,
    ...Object.entries(switches).map(([name, v]) => `const ${name}: bool = ${v};`),
    ...Object.entries(floats).map(([name, v]) => `const ${name}: f32 = ${float(v)};`),
    `const PAIR: vec4<f32> = vec4<f32>(${pair.map(float).join(", ")});`,
  ].join("\n");
  // Two tiles of vec4, edge tables, partial sums and means.
  const tiles = purpose === "path" ? 0 : 2 * 4 * TE * H + 20 * TE + 8 * numbers.INPUT_EDGES;
  const tileBytes = tiles + 4 * threads + 48;
  return { text, threads, workSize, tileBytes, outputs, network };
}

/** Constants of kernels that know nothing but their number of threads. */
export const plainConstants = "const W: u32 = 64u;";

/** Constants of log_variance and reverse_divergence (a workgroup's scratch: two numbers of every sample). */
export function lossConstants(samples: number): Constants {
  const threads = Math.min(256, Math.max(64, 2 ** Math.ceil(Math.log2(samples))));
  return vectorConstants(threads, { VALUE: samples, WEIGHT: samples });
}

/** Constants of gradient_norm (a number of every step). */
export function normConstants(steps: number): Constants {
  return vectorConstants(256, { STEP: steps });
}

function vectorConstants(threads: number, regions: Record<string, number>): Constants {
  let workSize = 0;
  const lines = [`const W: u32 = ${threads}u;`];
  for (const [name, length] of Object.entries(regions)) {
    lines.push(`const ${name}: u32 = ${workSize}u;`);
    workSize += length;
  }
  lines.push(`const WORK_SIZE: u32 = ${workSize}u;`);
  return { text: lines.join("\n"), threads, workSize, tileBytes: 4 * threads + 16 };
}
