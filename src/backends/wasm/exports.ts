/** A product of assembly/gemm.ts. */
export type GemmKernel = (
  a: number,
  strideA: number,
  packed: number,
  bias: number,
  c: number,
  strideC: number,
  groups: number,
  inputs: number,
  columns: number,
) => void;

/**
 * What the WebAssembly module exports, as the host sees it: addresses and integers are numbers, an
 * f32x4 block stands at a 16-aligned address. Every kernel adds its own lines; the kernels' files
 * under assembly/ say what they do.
 */
export interface KernelExports {
  readonly memory: WebAssembly.Memory;
  /** First byte the host may use. */
  heapBase(): number;

  // math.ts: `count` f32x4 from x to out (mathSincos writes cos and sin in turn, 2·count).
  mathExp(x: number, out: number, count: number): void;
  mathLog(x: number, out: number, count: number): void;
  mathTanh(x: number, out: number, count: number): void;
  mathSincos(u: number, out: number, count: number): void;
  /** y, x in turn (2·count f32x4). */
  mathAtan2(yx: number, out: number, count: number): void;
  mathI0e(x: number, out: number, count: number): void;
  mathI1e(x: number, out: number, count: number): void;

  // threefry.ts: `samples` is the address of four sample numbers (i32x4).
  wordsAt(
    out: number,
    count: number,
    key0: number,
    key1: number,
    samples: number,
    first: number,
  ): void;
  normalsAt: KernelExports["wordsAt"];
  thriftyNormalsAt: KernelExports["wordsAt"];

  // matrix_exponential.ts
  exponentialScratchBytes(dimension: number, channels: number): number;
  exponentialDisplacement(
    h: number,
    s: number,
    x: number,
    tau: number,
    out: number,
    particles: number,
    dimension: number,
    channels: number,
    scratch: number,
  ): void;
  exponentialAdjoint(
    h: number,
    s: number,
    x: number,
    tau: number,
    yAdjoint: number,
    hAdjoint: number,
    sAdjoint: number,
    particles: number,
    dimension: number,
    channels: number,
    scratch: number,
  ): void;

  // gemm.ts: strides in bytes; see there for the shapes.
  packPanels(
    weight: number,
    stride: number,
    outputs: number,
    inputs: number,
    paddedInputs: number,
    packed: number,
  ): void;
  packTransposed(
    weight: number,
    stride: number,
    outputs: number,
    inputs: number,
    paddedOutputs: number,
    packed: number,
  ): void;
  gemm: GemmKernel;
  gemmAdd: GemmKernel;
  gemmTanh: GemmKernel;
  gemmGradient(
    outputAdjoints: number,
    strideD: number,
    inputs: number,
    strideA: number,
    gradient: number,
    strideG: number,
    rows: number,
    outputCount: number,
    inputCount: number,
  ): void;

  // egnn.ts
  egnnPackedBytes(layers: number, hidden: number): number;
  egnnPack(
    flat: number,
    network: number,
    particles: number,
    dimension: number,
    layers: number,
    hidden: number,
    channels: number,
    lengthScale: number,
    anchored: number,
  ): void;
  egnnTypesBytes(particles: number, hidden: number, types: number): number;
  egnnPackTypes(
    flat: number,
    network: number,
    table: number,
    particleTypes: number,
    types: number,
  ): void;
  egnnScratchBytes(particles: number, layers: number, hidden: number): number;
  egnnTapeBytes(particles: number, layers: number, hidden: number): number;
  egnnForwardBatch(
    network: number,
    x: number,
    t: number,
    out: number,
    scratch: number,
    blocks: number,
  ): void;
  egnnForwardBackwardBatch(
    network: number,
    x: number,
    t: number,
    out: number,
    outAdjoint: number,
    gradient: number,
    scratch: number,
    tape: number,
    blocks: number,
  ): void;

  // julep.ts: `job` is the address of a JulepJob, packed by src/backends/wasm/julep.ts.
  julepScratchBytes(particles: number, dimension: number, channels: number): number;
  /** pair_velocity.ts. */
  pairVelocityBatch(
    x: number,
    particles: number,
    dimension: number,
    table: number,
    cells: number,
    inverseWidth: number,
    velocity: number,
    blocks: number,
  ): void;
  julepTapeBytes(
    particles: number,
    dimension: number,
    layers: number,
    hidden: number,
    channels: number,
  ): number;
  julepTrajectories(
    job: number,
    blocks: number,
    first: number,
    x: number,
    logRatio: number,
    increments: number,
    states: number,
    forces: number,
    windows: number,
    tapes: number,
  ): void;
  julepGradient(
    job: number,
    blocks: number,
    states: number,
    forces: number,
    coefficients: number,
    stepCoefficients: number,
    windows: number,
    gradient: number,
    stepGradient: number,
    tapes: number,
  ): void;

  // controlled_diffusion.ts: `job` is the address of a DiffusionJob, packed by
  // src/backends/wasm/controlled_diffusion.ts.
  diffusionScratchBytes(particles: number, dimension: number): number;
  diffusionPaths(
    job: number,
    blocks: number,
    first: number,
    x: number,
    logRatio: number,
    increments: number,
    states: number,
    forces: number,
  ): void;
  diffusionGradient(
    job: number,
    blocks: number,
    states: number,
    forces: number,
    coefficients: number,
    windows: number,
    gradient: number,
  ): void;
  diffusionPathGradient(
    job: number,
    blocks: number,
    states: number,
    forces: number,
    coefficients: number,
    gradient: number,
  ): void;

  // mint_prior.ts: `prior` and `scratch` from packMint (src/backends/wasm/mint_prior.ts).
  mintPriorScratchBytes(
    particles: number,
    dimension: number,
    components: number,
    labellings: number,
  ): number;
  mintPriorBatch(
    prior: number,
    x: number,
    gradient: number,
    logDensity: number,
    blocks: number,
    scratch: number,
  ): void;
  mintPriorParameterGradientBlock(
    prior: number,
    x: number,
    weights: number,
    out: number,
    scratch: number,
  ): void;

  // pair_energies.ts: U_t and ∂U_t/∂x of `blocks` blocks (parameters: PairKernel.parameters, f32).
  pairEnergiesBatch(
    kind: number,
    parameters: number,
    x: number,
    gradient: number,
    energies: number,
    particles: number,
    dimension: number,
    t: number,
    blocks: number,
  ): void;

  // molecule_energies.ts: `header` is the address of PairKernel.parameters of a molecule, with scratch.
  moleculeEnergiesBatch(
    header: number,
    x: number,
    gradient: number,
    terms: number,
    blocks: number,
  ): void;

  // level_energy.ts: `levels` is the address of a Levels, packed by src/backends/wasm/path.ts.
  levelEnergies(
    levels: number,
    level: number,
    x: number,
    gradient: number,
    energies: number,
    blocks: number,
  ): void;
  clipForces(
    force: number,
    blocks: number,
    particles: number,
    dimension: number,
    clip: number,
  ): void;

  // pair_flow.ts: `flow` is the address of a PairFlow.
  pairFlowBatch(
    flow: number,
    level: number,
    x: number,
    logDeterminant: number,
    blocks: number,
    inverse: number,
  ): void;

  // hmc.ts
  hmcChains(
    levels: number,
    level: number,
    blocks: number,
    first: number,
    x: number,
    stepSizes: number,
    jitter: number,
    leapfrogs: number,
    step: number,
    key0: number,
    key1: number,
    acceptance: number,
    scratch: number,
  ): void;

  // population_weights.ts
  /** U of Lennard-Jones systems in float64, of `blocks` blocks; scratch: N·3 f64x2. */
  lennardJonesTargets(
    x: number,
    energies: number,
    particles: number,
    epsilon: number,
    oscillator: number,
    blocks: number,
    scratch: number,
  ): void;
  populationWeights(
    accumulated: number,
    energies: number,
    logWeights: number,
    weights: number,
    count: number,
    out: number,
  ): void;
  populationAncestors(
    weights: number,
    count: number,
    offset: number,
    ancestors: number,
    scratch: number,
  ): void;

  // path.ts: `job` is the address of a PathJob.
  pathScratchBytes(particles: number, dimension: number): number;
  pathVelocities(job: number, level: number): void;
  pathPrior(job: number, key0: number, key1: number, factor: number): void;
  pathAdvance(job: number, level: number, last: number): void;
  pathMove(
    job: number,
    level: number,
    transitions: number,
    leapfrogs: number,
    stepFactor: number,
    key0: number,
    key1: number,
  ): void;
  pathResample(job: number, ancestors: number, count: number): void;
  pathComplete(job: number, level: number): void;
  pathRetreat(job: number, level: number): void;
  pathTryFlow(job: number, level: number, table: number, out: number): void;

  // internal_path.ts, internal_coordinates.ts, internal_prior.ts: `job` is the address of an
  // InternalJob, packed by src/backends/wasm/internal_path.ts.
  internalChainScratch(atoms: number): number;
  internalPriorScratch(locals: number): number;
  internalStart(job: number, blocks: number): void;
  internalTransitions(job: number, blocks: number, first: number, step: number, t: number): void;
  internalEnergies(job: number, z: number, gradient: number, values: number, blocks: number): void;
}
