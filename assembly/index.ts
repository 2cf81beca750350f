// The one WebAssembly module: every kernel's exports. Memory is laid out by the host (see
// src/backends/wasm/memory.ts): it allocates from heapBase() upwards and passes byte addresses.
export function heapBase(): usize { return __heap_base; }
export { mathAtan2, mathExp, mathI0e, mathI1e, mathLog, mathSincos, mathTanh } from "./math";
export { normalsAt, thriftyNormalsAt, wordsAt } from "./threefry";
export {
  exponentialAdjoint, exponentialDisplacement, exponentialScratchBytes,
} from "./matrix_exponential";
export { gemm, gemmAdd, gemmGradient, gemmTanh, packPanels, packTransposed } from "./gemm";
export {
  egnnForwardBackwardBatch, egnnForwardBatch, egnnPack, egnnPackedBytes, egnnPackTypes, egnnScratchBytes,
  egnnTapeBytes, egnnTypesBytes,
} from "./egnn";
export {
  mintPriorBatch, mintPriorParameterGradientBlock, mintPriorScratchBytes,
} from "./mint_prior";
export { moleculeEnergiesBatch } from "./molecule_energies";
export { pairEnergiesBatch } from "./pair_energies";
export { pairVelocityBatch } from "./pair_velocity";
export { julepGradient, julepScratchBytes, julepTapeBytes, julepTrajectories } from "./julep";
export { clipForces, levelEnergies } from "./level_energy";
export { pairFlowBatch } from "./pair_flow";
export { hmcChains } from "./hmc";
export { populationAncestors, populationWeights } from "./population_weights";
export { lennardJonesTargets } from "./target_energy";
export {
  pathAdvance, pathComplete, pathMove, pathPrior, pathResample, pathRetreat, pathScratchBytes, pathTryFlow,
  pathVelocities,
} from "./path";
export {
  diffusionGradient, diffusionPathGradient, diffusionPaths, diffusionScratchBytes,
} from "./controlled_diffusion";
export { internalEnergies, internalStart, internalTransitions } from "./internal_path";
export { internalChainScratch } from "./internal_coordinates";
export { internalPriorScratch } from "./internal_prior";
