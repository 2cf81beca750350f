/**
 * Float64 reference of assembly/orbit_vmf.ts. The Mint mixture in float64 is itself the reference:
 * exactness rests on it in every backend (prior draws and their log q), so it stands with stage 1.
 */
export { MintDensity } from "../../mint/mixture.ts";
