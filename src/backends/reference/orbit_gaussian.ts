/** Float64 reference of assembly/orbit_gaussian.ts: the mixture itself, as for orbit_vmf.ts. */
export { MintDensity } from "../../mint/mixture.ts";
