/** Samples as trajectories that molecular viewers open: .pdb with one model a sample, or .dcd. */
import { basename } from "node:path";
import { writeFileAtomic } from "./atomic.ts";
import { encodeDcd } from "./dcd.ts";
import { encodeNpy } from "./npy.ts";
import { encodePdb, type PdbAtoms } from "./pdb.ts";

export interface Trajectory {
  readonly atoms: PdbAtoms;
  /** (count, N, n); two-dimensional systems lie in the plane z = 0. */
  readonly positions: Float32Array;
  readonly dimension: 2 | 3;
  readonly count: number;
  /** Null for equally weighted samples. */
  readonly logWeights: Float64Array | null;
  /** The system in one line. */
  readonly definition: string;
}

/** Whether a path asks for a trajectory. */
export function isTrajectory(path: string): boolean {
  return /\.(pdb|dcd)$/i.test(path);
}

/**
 * Writes `path` (.pdb or .dcd) and beside it PATH.log_weights.npy, unless all weigh the same, and for
 * a .dcd its first sample as PATH.pdb, which viewers take atoms from. Lengths are taken as nm. Returns
 * the files written. Throws InputError where they cannot be.
 */
export async function writeTrajectory(path: string, trajectory: Trajectory): Promise<string[]> {
  const { atoms, count, logWeights, definition } = trajectory;
  const N = atoms.names.length;
  const positions = inSpace(trajectory);
  const weights = `${path}.log_weights.npy`;
  const remarks = [
    ...wrapped(definition),
    logWeights ? `log-weights of the models: ${basename(weights)}` : "equally weighted models",
  ];
  const files: string[] = [];
  const write = async (file: string, content: Iterable<Uint8Array>) => {
    await writeFileAtomic(file, content);
    files.push(file);
  };
  if (logWeights) await write(weights, encodeNpy(logWeights, [count]));
  if (/\.dcd$/i.test(path)) {
    await write(`${path}.pdb`, encodePdb(atoms, positions, Math.min(1, count), remarks));
    await write(path, encodeDcd(positions, count, N, 10, "MintJulep samples"));
  } else await write(path, encodePdb(atoms, positions, count, remarks));
  return files;
}

function inSpace({ positions, dimension }: Trajectory): Float32Array {
  if (dimension === 3) return positions;
  const out = new Float32Array(positions.length / 2 * 3);
  for (let i = 0; i < positions.length / 2; i++) {
    out[3 * i] = positions[2 * i];
    out[3 * i + 1] = positions[2 * i + 1];
  }
  return out;
}

function wrapped(line: string): string[] {
  return line.replace(/[^\x20-\x7e]/g, "?").match(/.{1,68}/g) ?? [];
}
