/**
 * Checks a RunConfig from outside (a file, the command line). Strict: unknown fields are refused by
 * name, numbers are finite and in range. zod stays inside; the types are the interfaces of
 * config.ts, and the compiler checks that both agree.
 */
import { z } from "zod";
import { InputError } from "../errors.ts";
import type {
  DoubleWellConfig,
  LennardJonesConfig,
  MoleculeConfig,
  RunConfig,
  SoftCoreConfig,
  SystemConfig,
} from "./config.ts";

// Each leaf is described in words once; the words complete the sentence "<field> must be ...".

const integer = (min: number, max: number) => {
  const what = {
    error: ({ input }: { input?: unknown }) =>
      typeof input === "number" && input > max ? `an integer <= ${max}` : `an integer >= ${min}`,
  };
  return z.int(what).min(min, what).max(max, what);
};
const count = (min: number) => integer(min, 1e9);
const finite = () => z.number("a finite number");
const positive = () => z.number("a number > 0").positive("a number > 0");
const nonNegative = () => z.number("a number >= 0").nonnegative("a number >= 0");
const fraction = () => {
  const what = "a number in (0, 1]";
  return z.number(what).positive(what).max(1, what);
};
const openFraction = () => {
  const what = "a number in (0, 1)";
  return z.number(what).positive(what).lt(1, what);
};
const boolean = () => z.boolean("true or false");
const oneOf = <const T extends readonly string[]>(...values: T) =>
  z.enum(values, values.map((v) => `"${v}"`).join(" or "));
const object = <T extends z.core.$ZodLooseShape>(shape: T) => z.strictObject(shape, "an object");

/** Tells an object of an unknown kind from what is no object at all. */
const tagged = (kinds: string) => ({
  error: (issue: { code?: string }) =>
    issue.code === "invalid_type" ? `an object with "kind" ${kinds}` : kinds,
});

const softCore: z.ZodType<SoftCoreConfig> = z.discriminatedUnion("kind", [
  object({ kind: z.literal("shifted") }),
  object({ kind: z.literal("beutler"), alpha: positive() }),
], tagged('"shifted" or "beutler"'));

const doubleWell: z.ZodType<DoubleWellConfig> & z.core.$ZodTypeDiscriminable = object({
  kind: z.literal("double_well"),
  particles: integer(2, 1000),
  dimension: z.union([z.literal(2), z.literal(3)], "2 or 3"),
  offset: finite(),
  linear: finite(),
  quadratic: finite(),
  quartic: nonNegative(),
  temperature: positive(),
});

const lennardJones: z.ZodType<LennardJonesConfig> & z.core.$ZodTypeDiscriminable = object({
  kind: z.literal("lennard_jones"),
  particles: integer(2, 1000),
  epsilon: positive(),
  oscillator: positive(),
  softCore,
});

// Shapes alone: what the numbers mean together is checked where the system is made.
const numbers = () => z.array(finite(), "a list of numbers");
const rows = () => z.array(numbers(), "a list of rows of numbers");
const names = () => z.array(z.string("a name"), "a list of names");
const molecule: z.ZodType<MoleculeConfig> & z.core.$ZodTypeDiscriminable = object({
  kind: z.literal("molecule"),
  temperature: positive(),
  solvent: oneOf("none", "obc1", "obc2"),
  forceField: z.union([
    z.literal("aldp"),
    object({
      title: z.string("a text"),
      atoms: object({
        names: names(),
        residues: numbers(),
        residueNames: names(),
        elements: numbers(),
        masses: numbers(),
        charges: numbers(),
      }),
      bonds: rows(),
      angles: rows(),
      torsions: rows(),
      lennardJones: object({ types: numbers(), a: numbers(), b: numbers() }),
      exceptions: rows(),
      born: z.union([
        z.null(),
        object({
          radii: numbers(),
          screens: numbers(),
          soluteDielectric: positive(),
          solventDielectric: positive(),
          surfaceTension: finite(),
        }),
      ], "the data of generalised Born solvation or null"),
    }),
  ], '"aldp" or a force field in full'),
  softCore: z.union([
    z.null(),
    object({ kind: oneOf("shifted", "beutler"), alpha: positive(), bonded: fraction() }),
  ], "an object or null").optional(),
});

const system: z.ZodType<SystemConfig> = z.discriminatedUnion(
  "kind",
  [doubleWell, lennardJones, molecule],
  tagged('"double_well", "lennard_jones" or "molecule"'),
);

const mint = object({
  family: oneOf("orbit_vmf", "pvmf", "orbit_gaussian"),
  gaussian: object({
    mean: oneOf("minima", "zero"),
    covariance: oneOf("scale", "diagonal", "full"),
  }),
  pvmf: object({ normaliserSamples: integer(64, 1e7), langevinSteps: integer(0, 1e5) }),
  components: integer(0, 1e6),
  symmetrise: boolean(),
  allowLabelled: boolean(),
  broad: object({
    weight: z.number("a number in [0, 1]").min(0, "a number in [0, 1]").max(
      1,
      "a number in [0, 1]",
    ),
    scale: z.union([z.literal("auto"), positive()], 'a number > 0 or "auto"'),
  }),
  initialWidth: positive(),
  starts: count(1),
  descentSteps: count(0),
  iterations: count(0),
  samples: count(1),
  learningRate: positive(),
  gradientClip: positive(),
  weightExponent: positive(),
  temperedEss: fraction(),
  repulsion: nonNegative(),
  molecule: object({
    anchor: z.union([z.literal("centre"), integer(0, 1e6)], 'an integer >= 0 or "centre"'),
    reference: z.union([z.null(), z.array(finite())], "a list of numbers or null"),
  }).optional(),
});

const network = object({
  enabled: boolean(),
  layers: integer(1, 64),
  hidden: integer(8, 1024).multipleOf(8, "a multiple of 8"),
  channels: integer(1, 4),
  drift: boolean(),
  evenDrift: boolean(),
  matrix: oneOf("none", "signed", "positive"),
  outputScale: positive().optional(),
});

const julep = object({
  steps: count(1),
  samples: count(2),
  iterations: count(0),
  learningRate: positive(),
  warmup: count(0),
  gradientClip: positive(),
  gauge: oneOf("anchor", "centre_of_mass"),
  grid: oneOf("uniform", "random"),
  loss: oneOf("total", "per_step", "grouped"),
  lossGroups: count(1),
  tilt: z.number("a number in [0, 1]").min(0, "a number in [0, 1]").max(1, "a number in [0, 1]"),
  gradientFraction: fraction(),
  forceClip: z.union([z.null(), positive()], "a number > 0 or null"),
  network,
  stepSize: object({
    initial: z.union([z.literal("path"), positive()], 'a number > 0 or "path"'),
    fall: z.union([z.null(), fraction()], "a number in (0, 1] or null").optional(),
    knots: integer(2, 1000),
    learn: boolean(),
    learningRateFactor: nonNegative(),
  }),
  path: z.union([
    z.null(),
    object({
      kind: oneOf("cluster"),
      variant: oneOf("robust", "tuned", "two_sided"),
      flow: oneOf("none", "drift", "exact"),
      fitSamples: integer(64, 1e6).multipleOf(4, "a multiple of 4"),
    }),
  ], "a cluster path or null"),
  diffusion: object({
    kind: oneOf("pis", "dds"),
    targetForce: boolean(),
    stiffness: nonNegative(),
    proximalSteps: integer(1, 100),
    adjointClip: z.union([z.null(), positive()], "a number > 0 or null"),
    finalStepSize: fraction(),
  }).optional(),
});

const multipleOf4 = (min: number) => {
  const what = `a multiple of 4 >= ${min}`;
  return z.int(what).min(min, what).max(1e9, what).multipleOf(4, what);
};
const share = () => {
  const what = "a number in [0, 1]";
  return z.number(what).min(0, what).max(1, what);
};

const moves = z.union(
  [z.null(), object({ transitions: count(1), leapfrogs: count(1), stepFactor: positive() })],
  "null or an object with transitions, leapfrogs and stepFactor",
);

const path = object({
  kernel: oneOf("underdamped", "adjusted"),
  levels: count(2),
  leapfrogs: count(1),
  stepSize: z.union([z.null(), positive()], "a number > 0 or null"),
  variant: oneOf("robust", "tuned", "two_sided"),
  tuning: z.array(finite(), "a list of numbers").optional(),
  flow: z.union(
    [
      z.null(),
      object({ population: multipleOf4(80), threshold: share(), retimings: integer(0, 10) }),
    ],
    "null or an object with population (a multiple of 4 >= 80), threshold in [0, 1] and retimings",
  ),
  resampling: z.union(
    [z.null(), object({ population: multipleOf4(8), threshold: share(), moves })],
    "null or an object with population (a multiple of 4 >= 8), threshold in [0, 1] and moves",
  ),
});

const internal = object({
  prior: oneOf("auto", "torsion_grid", "laplace"),
  reference: z.union([z.null(), z.array(finite())], "a list of numbers or null"),
  starts: count(1),
  descentSteps: count(1),
  cells: integer(4, 72),
  subcells: integer(1, 100),
  kernel: oneOf("adjusted", "julep").optional(),
  levels: integer(0, 1e6),
  leapfrogs: integer(1, 1e4),
  stepSize: positive(),
  resampling: z.union([
    z.null(),
    object({
      population: multipleOf4(8),
      threshold: share(),
      conditionalEss: z.union([z.null(), openFraction()], "a number in (0, 1) or null"),
    }),
  ], "an object or null"),
  refine: z.union([
    z.null(),
    object({
      rounds: count(1),
      samples: count(100),
      buffer: multipleOf4(100),
      defensive: openFraction(),
      strength: positive(),
    }),
  ], "an object or null").optional(),
});

const fourAtoms = () => {
  const what = "four atoms counted from 1, as in [5,7,9,15], or null";
  return z.union([z.null(), z.array(z.int(what).min(1, what), what).length(4, what)], what);
};

const moleculeRun = object({
  chirality: oneOf("auto", "keep", "both", "fold"),
  reference: z.union([z.null(), z.array(finite())], "a list of numbers or null"),
  phi: fourAtoms(),
  psi: fourAtoms(),
});

const chains = object({
  chains: multipleOf4(4),
  leapfrogs: count(1),
  stepSize: positive(),
  targetAcceptance: fraction(),
  warmup: count(0),
  thin: count(1),
});

const runConfig: z.ZodType<RunConfig> = object({
  version: z.literal(1, "1, the layout this program knows"),
  preset: z.string("a name").min(1, "a name"),
  seed: z.int("an integer from 0 to 2^32 - 1").nonnegative("an integer from 0 to 2^32 - 1").max(
    2 ** 32 - 1,
    "an integer from 0 to 2^32 - 1",
  ),
  system,
  mint,
  julep,
  checkpointEvery: count(1),
  path: path.optional(),
  chains: chains.optional(),
  internal: z.union([z.null(), internal], "an object or null").optional(),
  molecule: moleculeRun.optional(),
}).superRefine((config, context) => {
  for (const [path, message] of contradictions(config)) {
    context.addIssue({ code: "custom", path: path.split("."), message, params: { whole: true } });
  }
});

/** Fields that are fine alone and wrong together: [field, sentence after its name]. */
function* contradictions(config: RunConfig): Iterable<[string, string]> {
  const { system, mint, julep } = config;
  const alone = mint.broad.weight === 1;
  if (mint.components === 0 && !alone) {
    yield [
      "mint.broad.weight",
      `must be 1 because mint.components is 0, got ${mint.broad.weight}`,
    ];
  }
  if (mint.components > 0 && alone) {
    yield [
      "mint.broad.weight",
      `must be < 1 because mint.components is ${mint.components}, got 1`,
    ];
  }
  if (mint.family === "orbit_gaussian" && mint.gaussian.mean === "zero" && mint.repulsion > 0) {
    yield [
      "mint.repulsion",
      `must be 0 because mint.gaussian.mean is zero (nothing to repel), got ${mint.repulsion}`,
    ];
  }
  if (system.kind === "double_well" && system.quartic === 0 && system.quadratic <= 0) {
    yield ["system.quartic", "must be > 0 (or quadratic > 0): exp(-U) cannot be normalised"];
  }
  if (julep.path) yield* contradictionsOfPath(config);
  if (config.internal?.kernel === "julep") {
    const because = "with internal.kernel julep (whitened internal coordinates)";
    if (julep.diffusion) yield ["julep.diffusion", `must be absent ${because}`];
    if (config.internal.resampling) yield ["internal.resampling", `must be null ${because}`];
    if (config.internal.refine) yield ["internal.refine", `must be null ${because}`];
    if (julep.network.enabled && !julep.network.drift && !julep.network.evenDrift) {
      yield ["julep.network.drift", `must be true ${because} where evenDrift is false, got false`];
    }
  }
  if (julep.stepSize.initial === "path" && !julep.path) {
    yield ["julep.stepSize.initial", 'must be a number without julep.path, got "path"'];
  }
  if (julep.diffusion) yield* contradictionsOfDiffusion(config);
  if (config.path && config.chains) yield ["chains", "cannot stand beside path"];
  if (config.internal && (config.path || config.chains)) {
    yield ["internal", "cannot stand beside path or chains"];
  }
  if (config.internal && system.kind !== "molecule") {
    yield ["internal", `is for molecules, system.kind is ${system.kind}`];
  }
  if (config.molecule && system.kind !== "molecule") {
    yield ["molecule", `is for molecules, system.kind is ${system.kind}`];
  }
  if (mint.molecule && system.kind !== "molecule") {
    yield ["mint.molecule", `must be absent for a system of kind "${system.kind}"`];
  }
  if (julep.network.outputScale !== undefined && system.kind !== "molecule") {
    yield ["julep.network.outputScale", `must be absent for a system of kind "${system.kind}"`];
  }
  if (config.path && system.kind !== "lennard_jones" && config.path.stepSize === null) {
    yield ["path.stepSize", `must be a number > 0 for ${system.kind}, got null`];
  }
  const { enabled, drift, evenDrift, matrix } = julep.network;
  if (enabled && !drift && !evenDrift && matrix === "none") {
    yield [
      "julep.network.enabled",
      "must be false when drift and evenDrift are false and matrix is none",
    ];
  }
}

/** A cluster's path is made for Lennard-Jones systems, in the gauge its levels confine. */
function* contradictionsOfPath({ system, julep }: RunConfig): Iterable<[string, string]> {
  if (system.kind !== "lennard_jones") {
    yield ["julep.path", `must be absent for a system of kind "${system.kind}"`];
  }
  if (julep.gauge !== "centre_of_mass") {
    yield ["julep.gauge", `must be "centre_of_mass" with julep.path, got "${julep.gauge}"`];
  }
  if (julep.diffusion) yield ["julep.path", "must be absent with julep.diffusion"];
}

/** The comparators are what their papers say: no mixture, no learned step size, no matrix. */
function* contradictionsOfDiffusion({ mint, julep }: RunConfig): Iterable<[string, string]> {
  const { gauge, network, stepSize, diffusion } = julep;
  const because = `with julep.diffusion.kind ${diffusion!.kind}`;
  if (mint.components !== 0) {
    yield ["mint.components", `must be 0 ${because}, got ${mint.components}`];
  }
  if (gauge !== "centre_of_mass") {
    yield ["julep.gauge", `must be "centre_of_mass" ${because}, got "${gauge}"`];
  }
  if (network.matrix !== "none") {
    yield ["julep.network.matrix", `must be "none" ${because}, got "${network.matrix}"`];
  }
  if (network.evenDrift) yield ["julep.network.evenDrift", `must be false ${because}, got true`];
  if (stepSize.learn) yield ["julep.stepSize.learn", `must be false ${because}, got true`];
}

/** Where a value came from, for messages: a file, a preset or an option; by field if need be. */
export type Source = string | ((field: string) => string);

/**
 * The same value as a RunConfig. Throws InputError of one line for the first thing that is wrong,
 * `<source>: julep.steps must be an integer >= 1, got -3`.
 */
export function validateConfig(value: unknown, source: Source): RunConfig {
  const result = runConfig.safeParse(value);
  if (result.success) return result.data;
  const { field, text } = sentence(result.error.issues[0], value);
  const from = typeof source === "string" ? source : source(field);
  throw new InputError(`${from}: ${text}`);
}

function sentence(issue: z.core.$ZodIssue, root: unknown): { field: string; text: string } {
  const parent = issue.path.join(".");
  if (issue.code === "unrecognized_keys") {
    const field = [...issue.path, issue.keys[0]].join(".");
    return { field, text: `unknown field ${field}` };
  }
  if (issue.code === "custom" && issue.params?.whole) {
    return { field: parent, text: `${parent} ${issue.message}` };
  }
  return { field: parent, text: wrongValue(parent, issue.message, root, issue.path) };
}

function wrongValue(field: string, what: string, root: unknown, path: PropertyKey[]): string {
  let value = root;
  for (const key of path) {
    const inside = typeof value === "object" && value !== null && Object.hasOwn(value, key);
    value = inside ? (value as Record<PropertyKey, unknown>)[key] : undefined;
  }
  const name = field === "" ? "the configuration" : field;
  if (value === undefined) return `${name} is missing; it must be ${what}`;
  return `${name} must be ${what}, got ${printed(value)}`;
}

/** One short line for any value. */
function printed(value: unknown): string {
  if (typeof value === "number") return String(value);
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
