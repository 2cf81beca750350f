/** Float64 reference of assembly/pvmf.ts: the mixture itself, as for orbit_vmf.ts. */
export { MintDensity } from "../../mint/mixture.ts";
