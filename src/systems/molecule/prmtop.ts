/** AMBER parameter files (7-style prmtop) as a ForceField. https://ambermd.org/FileFormats.php */
import type { ForceField } from "../../config/force_field.ts";
import { InputError } from "../../errors.ts";
import { elementsOfMasses } from "./elements.ts";
import { readSections, type Section } from "./sections.ts";
import { BORN_OFFSET, KCAL, WATER } from "./units.ts";

/** Sections that are read or that do not touch the energy of an isolated molecule. */
const KNOWN = new Set(
  ("TITLE POINTERS ATOM_NAME CHARGE ATOMIC_NUMBER MASS ATOM_TYPE_INDEX NUMBER_EXCLUDED_ATOMS " +
    "NONBONDED_PARM_INDEX RESIDUE_LABEL RESIDUE_POINTER BOND_FORCE_CONSTANT BOND_EQUIL_VALUE " +
    "ANGLE_FORCE_CONSTANT ANGLE_EQUIL_VALUE DIHEDRAL_FORCE_CONSTANT DIHEDRAL_PERIODICITY " +
    "DIHEDRAL_PHASE SCEE_SCALE_FACTOR SCNB_SCALE_FACTOR SOLTY LENNARD_JONES_ACOEF " +
    "LENNARD_JONES_BCOEF BONDS_INC_HYDROGEN BONDS_WITHOUT_HYDROGEN ANGLES_INC_HYDROGEN " +
    "ANGLES_WITHOUT_HYDROGEN DIHEDRALS_INC_HYDROGEN DIHEDRALS_WITHOUT_HYDROGEN " +
    "EXCLUDED_ATOMS_LIST HBOND_ACOEF HBOND_BCOEF HBCUT AMBER_ATOM_TYPE " +
    "TREE_CHAIN_CLASSIFICATION JOIN_ARRAY IROTAT RADIUS_SET RADII SCREEN IPOL ATOM_NUMBER " +
    "RESIDUE_NUMBER RESIDUE_CHAINID RESIDUE_ICODE ATOM_ELEMENT ATOM_OCCUPANCY ATOM_BFACTOR")
    .split(" "),
);

/** Sections of energies that are not computed here, in words. */
const REFUSED: [RegExp, string][] = [
  [
    /^(CTITLE|FORCE_FIELD_TYPE|CHARMM_|CHAMBER)/,
    "CHAMBER files (CHARMM force fields) are not supported",
  ],
  [/^CMAP_/, "torsion maps (CMAP) are not supported"],
  [/^AMOEBA_/, "AMOEBA force fields are not supported"],
  [/^(POLARIZABILITY|DIPOLE_)/, "polarisable force fields are not supported"],
  [/^LENNARD_JONES_(CCOEF|DCOEF|DVALUE)/, "12-6-4 Lennard-Jones terms are not supported"],
  [
    /^(BOX_DIMENSIONS|SOLVENT_POINTERS|ATOMS_PER_MOLECULE|CAP_)/,
    "periodic boxes and solvent " +
    "caps are not supported, only one molecule without cutoff",
  ],
];

/** Places in POINTERS, with AMBER's names. */
const POINTER_NAMES = ("NATOM NTYPES NBONH MBONA NTHETH MTHETA NPHIH MPHIA NHPARM NPARM NNB NRES " +
  "NBONA NTHETA NPHIA NUMBND NUMANG NPTRA NATYP NPHB IFPERT NBPER NGPER NDPER MBPER MGPER MDPER " +
  "IFBOX NMXRS IFCAP NUMEXTRA").split(" ");
const MAX_ATOMS = 100_000;

/**
 * The force field in a prmtop text. Throws InputError of one line with section and line number for a
 * file that is damaged, contradicts itself, or asks for energies that are not computed here.
 */
export function readPrmtop(text: string, path: string): ForceField {
  const sections = readSections(text, path, (flag, line) => {
    const reason = REFUSED.find(([pattern]) => pattern.test(flag))?.[1];
    if (!reason && KNOWN.has(flag)) return;
    throw new InputError(
      `cannot read ${path}: section ${flag}, line ${line}: ` +
        (reason ?? "this section is unknown, the energy might depend on it"),
    );
  });
  return new PrmtopReader(sections, path).forceField();
}

class PrmtopReader {
  readonly #sections: Map<string, Section>;
  readonly #path: string;
  readonly #pointers: Record<string, number> = {};

  constructor(sections: Map<string, Section>, path: string) {
    this.#sections = sections;
    this.#path = path;
  }

  forceField(): ForceField {
    this.#readPointers();
    const { NATOM: N } = this.#pointers;
    const title = this.#sections.get("TITLE")?.values.join("").trim() ?? "";
    const charges = this.#numbers("CHARGE", N).map((q) => q / 18.2223);
    const lennardJones = this.#lennardJones();
    const torsions = this.#torsions();
    return {
      title,
      atoms: { ...this.#names(), masses: this.#masses(), charges },
      bonds: this.#bonds(),
      angles: this.#angles(),
      torsions: torsions.rows,
      lennardJones,
      exceptions: this.#exceptions(charges, lennardJones, torsions.pairs),
      born: this.#born(),
    };
  }

  #fail(flag: string, line: number | null, what: string): never {
    const place = line === null ? `section ${flag}` : `section ${flag}, line ${line}`;
    throw new InputError(`cannot read ${this.#path}: ${place}: ${what}`);
  }

  #section(flag: string, kind: Section["kind"], count: number | null): Section {
    const section = this.#sections.get(flag);
    if (!section) return this.#fail(flag, null, "it is missing");
    if (count !== null && section.values.length !== count) {
      const has = section.values.length;
      if (!(kind === "text" && has > count)) {
        this.#fail(flag, section.line, `it has ${has} values, expected ${count}`);
      }
    }
    const numeric = kind === "number" && section.kind === "integer";
    if (section.kind !== kind && !numeric) {
      this.#fail(flag, section.line, `its %FORMAT holds ${section.kind}s, expected ${kind}s`);
    }
    return section;
  }

  #integers(flag: string, count: number | null): number[] {
    const { values, lines } = this.#section(flag, "integer", count);
    return values.map((value, k) => {
      const number = Number(value);
      if (Math.abs(number) > 2 ** 31) this.#fail(flag, lines[k], `${value.trim()} is too large`);
      return number;
    });
  }

  #numbers(flag: string, count: number): number[] {
    const { values, lines } = this.#section(flag, "number", count);
    return values.map((value, k) => {
      const number = Number(value.replace(/[Dd]/, "E"));
      if (!Number.isFinite(number)) {
        this.#fail(flag, lines[k], `${value.trim()} is too large for a number`);
      }
      return number;
    });
  }

  #readPointers(): void {
    const { values, lines, line } = this.#section("POINTERS", "integer", null);
    if (values.length < 30) this.#fail("POINTERS", line, `it has ${values.length} of 30 values`);
    POINTER_NAMES.forEach((name, k) => {
      const value = Number(values[k] ?? 0);
      if (!(value >= 0 && value <= 1e8)) {
        this.#fail("POINTERS", lines[k], `${name} is ${value}`);
      }
      this.#pointers[name] = value;
    });
    const p = this.#pointers;
    const at = (name: string) => lines[POINTER_NAMES.indexOf(name)] ?? line;
    if (p.NATOM < 2 || p.NATOM > MAX_ATOMS) {
      this.#fail("POINTERS", at("NATOM"), `NATOM is ${p.NATOM}, expected 2 to ${MAX_ATOMS}`);
    }
    if (p.NTYPES < 1 || p.NTYPES > p.NATOM) {
      this.#fail("POINTERS", at("NTYPES"), `NTYPES is ${p.NTYPES} for ${p.NATOM} atoms`);
    }
    for (
      const [name, what] of [
        ["IFPERT", "perturbed atoms are not supported"],
        ["IFBOX", "periodic boxes are not supported, only one molecule without cutoff"],
        ["IFCAP", "solvent caps are not supported"],
        ["NUMEXTRA", "extra points are not supported"],
      ]
    ) {
      if (p[name] !== 0) this.#fail("POINTERS", at(name), `${name} is ${p[name]}: ${what}`);
    }
    for (
      const [all, constrained] of [["NBONA", "MBONA"], ["NTHETA", "MTHETA"], ["NPHIA", "MPHIA"]]
    ) {
      if (p[all] !== p[constrained]) {
        this.#fail("POINTERS", at(all), `${all} is not ${constrained}: constraints are not read`);
      }
    }
    if (this.#sections.has("IPOL") && this.#integers("IPOL", 1)[0] !== 0) {
      this.#fail("IPOL", null, "polarisable force fields are not supported");
    }
  }

  #names() {
    const { NATOM: N, NRES } = this.#pointers;
    const text = (flag: string, count: number) =>
      this.#section(flag, "text", count).values.slice(0, count).map((v) => v.trim());
    const names = text("ATOM_NAME", N);
    const residueNames = text("RESIDUE_LABEL", NRES);
    const first = this.#integers("RESIDUE_POINTER", NRES);
    const residues = new Array<number>(N).fill(0);
    first.forEach((atom, r) => {
      const previous = r === 0 ? 0 : first[r - 1];
      if (r === 0 ? atom !== 1 : !(atom > previous && atom <= N)) {
        this.#fail(
          "RESIDUE_POINTER",
          this.#section("RESIDUE_POINTER", "integer", null).lines[r],
          `residue ${r + 1} starts at atom ${atom}`,
        );
      }
      residues.fill(r, atom - 1);
    });
    const elements = this.#sections.has("ATOMIC_NUMBER")
      ? this.#integers("ATOMIC_NUMBER", N).map((z) => z >= 0 && z <= 118 ? z : 0)
      : elementsOfMasses(this.#masses(), this.#bonds()).map(({ number }) => number);
    return { names, residues, residueNames, elements };
  }

  #masses(): number[] {
    const masses = this.#numbers("MASS", this.#pointers.NATOM);
    const bad = masses.findIndex((mass) => !(mass > 0));
    if (bad >= 0) {
      const { lines } = this.#section("MASS", "number", null);
      this.#fail("MASS", lines[bad], `the mass of atom ${bad + 1} is ${masses[bad]}`);
    }
    return masses;
  }

  /** Rows of `width` integers of both sections of a kind, the last one a type. */
  #rows(kind: string, width: number, counts: [number, number], types: number) {
    const rows: { row: number[]; flag: string; line: number }[] = [];
    for (const [k, suffix] of ["INC_HYDROGEN", "WITHOUT_HYDROGEN"].entries()) {
      const flag = `${kind}_${suffix}`;
      const values = this.#integers(flag, width * counts[k]);
      const { lines } = this.#section(flag, "integer", null);
      for (let at = 0; at < values.length; at += width) {
        const raw = values.slice(at, at + width);
        const line = lines[at];
        const atoms = raw.slice(0, -1).map((v) => Math.abs(v) / 3);
        const bad = atoms.findIndex((a) => !Number.isInteger(a) || a >= this.#pointers.NATOM);
        if (bad >= 0) this.#fail(flag, line, `${raw[bad]} is not three times an atom's index`);
        if (new Set(atoms).size < atoms.length) this.#fail(flag, line, "an atom is there twice");
        // Signs mark torsions only.
        if (width < 5 && raw.some((v) => v < 0)) this.#fail(flag, line, "an index is negative");
        const type = raw[width - 1];
        if (!(type >= 1 && type <= types)) {
          this.#fail(flag, line, `type ${type}, expected 1 to ${types}`);
        }
        rows.push({ row: raw, flag, line });
      }
    }
    return rows;
  }

  #bonds(): number[][] {
    const { NBONH, MBONA, NUMBND } = this.#pointers;
    const k = this.#numbers("BOND_FORCE_CONSTANT", NUMBND);
    const length = this.#numbers("BOND_EQUIL_VALUE", NUMBND);
    return this.#rows("BONDS", 3, [NBONH, MBONA], NUMBND).map(({ row: [i, j, type] }) => [
      i / 3,
      j / 3,
      length[type - 1] / 10,
      2 * k[type - 1] * 100 * KCAL, // AMBER has no ½
    ]);
  }

  #angles(): number[][] {
    const { NTHETH, MTHETA, NUMANG } = this.#pointers;
    const constant = this.#numbers("ANGLE_FORCE_CONSTANT", NUMANG);
    const angle = this.#numbers("ANGLE_EQUIL_VALUE", NUMANG);
    return this.#rows("ANGLES", 4, [NTHETH, MTHETA], NUMANG).map(({ row: [i, j, k, type] }) => [
      i / 3,
      j / 3,
      k / 3,
      angle[type - 1],
      2 * constant[type - 1] * KCAL,
    ]);
  }

  /** Torsions, and the 1-4 pairs they carry with their scales, by "i j" with i < j. */
  #torsions() {
    const { NATOM: N, NPHIH, MPHIA, NPTRA } = this.#pointers;
    const height = this.#numbers("DIHEDRAL_FORCE_CONSTANT", NPTRA);
    const periodicity = this.#numbers("DIHEDRAL_PERIODICITY", NPTRA);
    const phase = this.#numbers("DIHEDRAL_PHASE", NPTRA);
    const scales = (flag: string, usual: number) =>
      this.#sections.has(flag) ? this.#numbers(flag, NPTRA) : height.map(() => usual);
    const scee = scales("SCEE_SCALE_FACTOR", 1.2);
    const scnb = scales("SCNB_SCALE_FACTOR", 2);
    const rows: number[][] = [];
    const pairs = new Map<number, { scee: number; scnb: number; line: number; flag: string }>();
    for (const { row, flag, line } of this.#rows("DIHEDRALS", 5, [NPHIH, MPHIA], NPTRA)) {
      const [i, j, k, l] = row.slice(0, 4).map((v) => Math.abs(v) / 3);
      const type = row[4] - 1;
      const n = Math.abs(periodicity[type]);
      // A negative periodicity says that more terms follow; here every term has its row.
      if (height[type] !== 0) {
        if (!Number.isInteger(n) || n > 12) {
          this.#fail(flag, line, `the periodicity of type ${type + 1} is ${periodicity[type]}`);
        }
        rows.push([i, j, k, l, n, phase[type], height[type] * KCAL]);
      }
      if (row[2] < 0 || row[3] < 0) continue;
      const pair = Math.min(i, l) * N + Math.max(i, l);
      if (pairs.has(pair)) continue;
      if (!(scee[type] > 0 && scnb[type] > 0)) {
        this.#fail(
          flag,
          line,
          `type ${type + 1} scales a 1-4 pair by SCEE ${scee[type]} and SCNB ` +
            `${scnb[type]}`,
        );
      }
      pairs.set(pair, { scee: scee[type], scnb: scnb[type], line, flag });
    }
    return { rows, pairs };
  }

  #lennardJones() {
    const { NATOM: N, NTYPES: T } = this.#pointers;
    const index = this.#integers("NONBONDED_PARM_INDEX", T * T);
    const { lines } = this.#section("NONBONDED_PARM_INDEX", "integer", null);
    const size = T * (T + 1) / 2;
    const A = this.#numbers("LENNARD_JONES_ACOEF", size);
    const B = this.#numbers("LENNARD_JONES_BCOEF", size);
    const a = new Array<number>(T * T).fill(0);
    const b = new Array<number>(T * T).fill(0);
    index.forEach((k, at) => {
      const mirrored = index[(at % T) * T + Math.floor(at / T)];
      if (k < 0) {
        this.#fail("NONBONDED_PARM_INDEX", lines[at], "10-12 hydrogen bonds are not supported");
      }
      if (k < 1 || k > size || k !== mirrored) {
        this.#fail("NONBONDED_PARM_INDEX", lines[at], `index ${k} is out of place`);
      }
      a[at] = A[k - 1] * KCAL * 1e-12;
      b[at] = B[k - 1] * KCAL * 1e-6;
      if (a[at] < 0 || b[at] < 0 || (a[at] === 0 && b[at] > 0)) {
        const flag = a[at] < 0 ? "LENNARD_JONES_ACOEF" : "LENNARD_JONES_BCOEF";
        this.#fail(
          flag,
          null,
          `types ${at % T + 1} and ${Math.floor(at / T) + 1} have A = ` +
            `${A[k - 1]} and B = ${B[k - 1]}`,
        );
      }
    });
    const types = this.#integers("ATOM_TYPE_INDEX", N).map((type, i) => {
      if (type >= 1 && type <= T) return type - 1;
      const { lines } = this.#section("ATOM_TYPE_INDEX", "integer", null);
      return this.#fail("ATOM_TYPE_INDEX", lines[i], `type ${type}, expected 1 to ${T}`);
    });
    return { types, a, b };
  }

  #exceptions(
    charges: number[],
    { types, a, b }: ForceField["lennardJones"],
    pairs: Map<number, { scee: number; scnb: number; line: number; flag: string }>,
  ): number[][] {
    const { NATOM: N, NTYPES: T } = this.#pointers;
    const counts = this.#integers("NUMBER_EXCLUDED_ATOMS", N);
    const list = this.#integers("EXCLUDED_ATOMS_LIST", null);
    const { lines, line } = this.#section("EXCLUDED_ATOMS_LIST", "integer", null);
    const excluded = new Set<number>();
    let at = 0;
    for (let i = 0; i < N; i++) {
      const own = list.slice(at, at + counts[i]);
      if (!(counts[i] >= 0) || own.length < counts[i]) {
        this.#fail(
          "EXCLUDED_ATOMS_LIST",
          line,
          `it has ${list.length} values, too few for atom ` +
            `${i + 1} of NUMBER_EXCLUDED_ATOMS`,
        );
      }
      own.forEach((atom, k) => {
        if (atom === 0) return; // stands for none
        if (!(atom > i + 1 && atom <= N)) {
          this.#fail("EXCLUDED_ATOMS_LIST", lines[at + k], `atom ${atom} in the list of ${i + 1}`);
        }
        excluded.add(i * N + atom - 1);
      });
      at += counts[i];
    }
    if (at !== list.length) {
      this.#fail("EXCLUDED_ATOMS_LIST", line, `it has ${list.length} values, expected ${at}`);
    }
    for (const [pair, { flag, line }] of pairs) {
      if (excluded.has(pair)) continue;
      const [i, j] = [Math.floor(pair / N) + 1, pair % N + 1];
      this.#fail(flag, line, `the 1-4 pair ${i} ${j} is not in EXCLUDED_ATOMS_LIST`);
    }
    return [...excluded].sort((p, q) => p - q).map((pair) => {
      const [i, j] = [Math.floor(pair / N), pair % N];
      const scale = pairs.get(pair);
      if (!scale) return [i, j, 0, 0, 0];
      const { scee, scnb } = scale;
      const at = types[i] * T + types[j];
      return [i, j, charges[i] * charges[j] / scee, a[at] / scnb, b[at] / scnb];
    });
  }

  #born(): ForceField["born"] {
    const [hasRadii, hasScreen] = ["RADII", "SCREEN"].map((flag) => this.#sections.has(flag));
    if (!hasRadii || !hasScreen) return null;
    const { NATOM: N } = this.#pointers;
    const radii = this.#numbers("RADII", N).map((r) => r / 10);
    const screens = this.#numbers("SCREEN", N);
    // Files without solvent parameters hold zeros.
    if (radii.every((r) => r === 0)) return null;
    for (const [flag, values, least] of [["RADII", radii, BORN_OFFSET], ["SCREEN", screens, 0]]) {
      const bad = (values as number[]).findIndex((v) =>
        flag === "RADII" ? !(v > (least as number)) : !(v >= (least as number))
      );
      if (bad < 0) continue;
      const { lines, values: written } = this.#section(flag as string, "number", null);
      this.#fail(flag as string, lines[bad], `that of atom ${bad + 1} is ${written[bad].trim()}`);
    }
    return { radii, screens, ...WATER };
  }
}
