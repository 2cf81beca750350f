/**
 * A molecule as the flat list of float32 numbers that assembly/molecule_energies.ts reads: a header,
 * then tables. Energies are divided by kT here, so that the kernel knows no units. Atoms are written
 * as byte offsets into a block (48 bytes an atom), exact in float32.
 */
import type { MoleculeSoftCore } from "../../config/config.ts";
import type { ForceField, Solvent } from "../../config/force_field.ts";
import type { PairKernel } from "../system.ts";
import { pairIndex, pairTable } from "./nonbonded.ts";
import { BORN_COEFFICIENTS, bornCoulomb } from "./obc.ts";
import { BORN_OFFSET, PROBE_RADIUS } from "./units.ts";

const ATOM = 48;
const HEADER = 16;
const LANES = 4;

/**
 * Header: 0 N, 1-3 numbers of bonds, angles, torsions, 4-8 offsets (in numbers) of bonds, angles,
 * torsions, pairs, Born table, 9 offset of the scratch, 10 solvation (0 none, 1 obc1, 2 obc2), 11-13
 * α, β, γ. Rows:
 *
 * 14 the soft core: 0 none, −1 shifted, α > 0 beutler; 15 b, the bonded terms' factor at t = 0.
 *
 *   bond     i, j, r₀, k
 *   angle    i, j, k, θ₀, k
 *   torsion  i, j, k, l, M, constant, then a_n, b_n for n = 1..M: Σ a_n cos nφ + b_n sin nφ, all terms
 *            of the same four atoms together
 *   pairs    for each atom i: number of partners, then rows j, q q, A, B; all j > i with a solvent, else
 *            those with parameters
 *   Born     ρ̃, 1/ρ̃, s, s², 1/ρ, q √κ, 4π σ (ρ + 0.14)² ρ⁶
 */
export function packMolecule(
  { forceField, solvent }: { readonly forceField: ForceField; readonly solvent: Solvent },
  kT: number,
  softCore: MoleculeSoftCore | null = null,
): PairKernel {
  const { atoms, bonds, angles, born } = forceField;
  const N = atoms.charges.length;
  const torsions = torsionSeries(forceField.torsions);
  const out: number[] = new Array(HEADER).fill(0);
  const offsets: number[] = [];
  const table = (rows: Iterable<readonly number[]>) => {
    offsets.push(out.length);
    for (const row of rows) out.push(...row);
  };
  table(bonds.map(([i, j, length, k]) => [ATOM * i, ATOM * j, length, k / kT]));
  table(angles.map(([i, j, k, at, c]) => [ATOM * i, ATOM * j, ATOM * k, at, c / kT]));
  table(torsions.map(({ atoms, constant, series }) => [
    ...atoms.map((i) => ATOM * i),
    series.length / 2,
    constant / kT,
    ...series.map((v) => v / kT),
  ]));
  const pairs = pairTable(forceField);
  offsets.push(out.length);
  let listed = 0;
  for (let i = 0; i < N; i++) {
    const at = out.push(0) - 1;
    for (let j = i + 1; j < N; j++) {
      const p = pairIndex(i, j, N);
      const row = [pairs.coulomb[p] / kT, pairs.a[p] / kT, pairs.b[p] / kT];
      if (solvent === "none" && row.every((v) => v === 0)) continue;
      out.push(ATOM * j, ...row);
      out[at]++;
      listed++;
    }
  }
  offsets.push(out.length);
  let scratch = 0;
  if (solvent !== "none" && born) {
    const charge = Math.sqrt(bornCoulomb(solvent, born) / kT);
    for (let i = 0; i < N; i++) {
      const radius = born.radii[i];
      const offset = radius - BORN_OFFSET;
      const s = offset * born.screens[i];
      const area = 4 * Math.PI * born.surfaceTension * (radius + PROBE_RADIUS) ** 2 * radius ** 6 /
        kT;
      out.push(offset, 1 / offset, s, s * s, 1 / radius, atoms.charges[i] * charge, area);
    }
    // Four numbers of every pair and four of every atom, for four systems.
    scratch = 4 * (listed + N) * LANES;
  }
  while (out.length % 4 !== 0) out.push(0);
  const model = solvent === "none" ? [0, 0, 0, 0] : [
    solvent === "obc1" ? 1 : 2,
    ...BORN_COEFFICIENTS[solvent],
  ];
  const header = [
    N,
    bonds.length,
    angles.length,
    torsions.length,
    ...offsets,
    out.length,
    ...model,
    ...(softCore ? softNumbers(softCore) : [0, 0]),
  ];
  header.forEach((value, k) => out[k] = value);
  return { kind: 3, parameters: out, scratch };
}

const softNumbers = ({ kind, alpha, bonded }: MoleculeSoftCore): number[] => [
  kind === "shifted" ? -1 : alpha,
  bonded,
];

/** Torsions of the same four atoms as one Fourier series: k (1 + cos(nφ − δ)) summed up. */
export function torsionSeries(rows: readonly (readonly number[])[]) {
  const groups = new Map<string, { atoms: number[]; constant: number; series: number[] }>();
  for (const [i, j, k, l, n, phase, height] of rows) {
    const key = `${i} ${j} ${k} ${l}`;
    let group = groups.get(key);
    if (!group) groups.set(key, group = { atoms: [i, j, k, l], constant: 0, series: [] });
    group.constant += height;
    if (n === 0) {
      group.constant += height * Math.cos(phase);
      continue;
    }
    while (group.series.length < 2 * n) group.series.push(0);
    group.series[2 * n - 2] += height * Math.cos(phase);
    group.series[2 * n - 1] += height * Math.sin(phase);
  }
  return [...groups.values()];
}
