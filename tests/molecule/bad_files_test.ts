/** Damaged, foreign and hostile molecule files: one clear line each, never a silent wrong energy. */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { ForceField } from "../../src/config/force_field.ts";
import { InputError } from "../../src/errors.ts";
import { structureOf } from "../../src/run/molecule.ts";
import { checkForceField } from "../../src/systems/molecule/check.ts";
import { MoleculeEnergy } from "../../src/systems/molecule/energy.ts";
import { readInpcrd } from "../../src/systems/molecule/inpcrd.ts";
import { readPrmtop } from "../../src/systems/molecule/prmtop.ts";
import { readSystemXml } from "../../src/systems/molecule/system_xml.ts";
import { forceField, frames, text } from "./data.ts";

const prmtop = text("aldp.prmtop");
const xml = text("aldp.system.xml");
const inpcrd = text("aldp.inpcrd");

/** The message of the InputError that `body` must throw: one line naming the file. */
function refusal(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    assert.ok(error instanceof InputError, `not an InputError: ${(error as Error).stack}`);
    assert.match(error.message, /^cannot read FILE: [^\n]+$/);
    return error.message;
  }
  assert.fail("accepted");
}

/** The text with the first match replaced; the match must be there. */
function changed(source: string, from: string | RegExp, to: string): string {
  const result = source.replace(from, to);
  assert.notEqual(result, source, `${from} is not in the file`);
  return result;
}

/** The line of a section's %FLAG, from 1. */
const lineOf = (flag: string) =>
  prmtop.split("\n").findIndex((row) => row.trim() === `%FLAG ${flag}`) + 1;

/** A prmtop with the first data line of a section changed. */
function withData(flag: string, change: (row: string) => string): string {
  const rows = prmtop.split("\n");
  const at = lineOf(flag) + 1;
  assert.notEqual(change(rows[at]), rows[at], `nothing changes in ${rows[at]}`);
  rows[at] = change(rows[at]);
  return rows.join("\n");
}

const section = (name: string, format: string, row: string) =>
  `%FLAG ${name}\n%FORMAT(${format})\n${row}\n`;

const prmtops: Record<string, [string, RegExp]> = {
  "an empty file": ["", /no %FLAG section/],
  "a text": ["Dear all,\n", /line 1: .*does not start with %VERSION or %FLAG/],
  "an old file without flags": ["ACE\n   22    7   12\n", /line 1: .*no AMBER parameter file/],
  "a value that is no number": [
    withData("CHARGE", (row) => changed(row, /\d/, "x")),
    new RegExp(`section CHARGE, line ${lineOf("CHARGE") + 2}: .* is not a number of 16`),
  ],
  "NaN": [
    withData("MASS", (row) => "             NaN" + row.slice(16)),
    new RegExp(`section MASS, line ${lineOf("MASS") + 2}: .*NaN.* is not a number`),
  ],
  "stars for an overflow": [
    withData("BOND_FORCE_CONSTANT", (row) => "*".repeat(16) + row.slice(16)),
    /section BOND_FORCE_CONSTANT, line \d+: "\*+" is not a number/,
  ],
  "infinity": [
    withData("CHARGE", (row) => "      1.00000E+999".slice(-16) + row.slice(16)),
    /section CHARGE, line \d+: .* too large/,
  ],
  "a negative mass": [
    withData("MASS", (row) => changed(row, / 1\./, "-1.")),
    /section MASS, line \d+: the mass of atom 1 is -1/,
  ],
  "a value too few": [
    withData("CHARGE", (row) => row.slice(0, -16)),
    /section CHARGE, line \d+: it has 21 values, expected 22/,
  ],
  "a value too many": [
    withData("ANGLE_EQUIL_VALUE", (row) => row + "\n" + row.slice(0, 16)),
    /section ANGLE_EQUIL_VALUE, line \d+: it has \d+ values, expected \d+/,
  ],
  "a value cut short": [
    prmtop.slice(0, prmtop.lastIndexOf("E") - 3),
    /is not a number of 16 characters/,
  ],
  "a wrong count": [
    withData("POINTERS", (row) => changed(row, "      22", "      23")),
    /section \w+, line \d+: it has 22 values, expected 23/,
  ],
  "a negative count": [
    withData("POINTERS", (row) => changed(row, "      22", "     -22")),
    /section POINTERS, line \d+: NATOM is -22/,
  ],
  "a billion atoms": [
    withData("POINTERS", (row) => changed(row, "      22", "99999999")),
    /section POINTERS, line \d+: NATOM is 99999999/,
  ],
  "a missing section": [
    prmtop.replaceAll("%FLAG ANGLE_EQUIL_VALUE", "%COMMENT"),
    /unreadable format|section ANGLE_EQUIL_VALUE: it is missing/,
  ],
  "a section twice": [
    prmtop + section("MASS", "5E16.8", ""),
    /section SCREEN, line \d+: section MASS is there twice|section MASS is there twice/,
  ],
  "a section without a format": [
    changed(prmtop, "%FORMAT(5E16.8)\n", ""),
    /no %FORMAT follows/,
  ],
  "CHAMBER": [
    prmtop + section("CTITLE", "a80", "x"),
    /section CTITLE, line \d+: CHAMBER files .* not supported/,
  ],
  "CHARMM terms": [
    prmtop + section("CHARMM_UREY_BRADLEY_COUNT", "2I8", "       0       0"),
    /section CHARMM_UREY_BRADLEY_COUNT, line \d+: CHAMBER/,
  ],
  "CMAP": [prmtop + section("CMAP_COUNT", "2I8", "       1       1"), /CMAP.* not supported/],
  "12-6-4 terms": [
    prmtop + section("LENNARD_JONES_CCOEF", "5E16.8", ""),
    /section LENNARD_JONES_CCOEF, line \d+: 12-6-4/,
  ],
  "an unknown section": [
    prmtop + section("QUANTUM_MAGIC", "I8", "       1"),
    /section QUANTUM_MAGIC, line \d+: this section is unknown/,
  ],
  "a box": [
    prmtop + section("BOX_DIMENSIONS", "5E16.8", ""),
    /section BOX_DIMENSIONS, line \d+: periodic boxes/,
  ],
  "an atom index out of range": [
    withData("BONDS_INC_HYDROGEN", (row) => "     300" + row.slice(8)),
    /section BONDS_INC_HYDROGEN, line \d+: 300 is not three times an atom's index/,
  ],
  "a type out of range": [
    withData("BONDS_INC_HYDROGEN", (row) => row.slice(0, 16) + "      99" + row.slice(24)),
    /section BONDS_INC_HYDROGEN, line \d+: type 99, expected 1 to/,
  ],
  "an atom bonded to itself": [
    withData("BONDS_INC_HYDROGEN", (row) => row.slice(8, 16) + row.slice(8)),
    /section BONDS_INC_HYDROGEN, line \d+: an atom is there twice/,
  ],
  "an excluded atom out of range": [
    withData("EXCLUDED_ATOMS_LIST", (row) => "      77" + row.slice(8)),
    /section EXCLUDED_ATOMS_LIST, line \d+: atom 77 in the list of 1/,
  ],
  "a 1-4 pair that is not excluded": [
    changed(
      withData("NUMBER_EXCLUDED_ATOMS", (row) => changed(row, /\d/, "1")),
      /(%FLAG EXCLUDED_ATOMS_LIST[^\n]*\n[^\n]*\n {7}2) {7}3 {7}4 {7}5 {7}6 {7}7/,
      "$1",
    ),
    /EXCLUDED_ATOMS_LIST/,
  ],
  "a 10-12 term": [
    withData("NONBONDED_PARM_INDEX", (row) => changed(row, "       1", "      -1")),
    /section NONBONDED_PARM_INDEX, line \d+: 10-12 hydrogen bonds are not supported/,
  ],
  "a negative repulsion": [
    withData("LENNARD_JONES_ACOEF", (row) => changed(row, /^ {2}/, " -")),
    /section LENNARD_JONES_ACOEF: types 1 and 1 have A = -/,
  ],
  "a radius of nothing": [
    withData("RADII", (row) => "  0.00000000E+00" + row.slice(16)),
    /section RADII, line \d+: that of atom 1 is 0\.0/,
  ],
  "a periodicity of 1.5": [
    withData("DIHEDRAL_PERIODICITY", (row) => "  1.50000000E+00" + row.slice(16)),
    /section DIHEDRALS_\w+, line \d+: the periodicity of type 1 is 1\.5/,
  ],
  "numbers where integers belong": [
    changed(
      prmtop,
      /(%FLAG ATOM_TYPE_INDEX[^\n]*\n)%FORMAT\(10I8\)/,
      "$1%FORMAT(10E8.1)",
    ),
    /section ATOM_TYPE_INDEX, line \d+: its %FORMAT holds numbers, expected integers/,
  ],
  "a format of zero width": [
    changed(prmtop, "%FORMAT(5E16.8)", "%FORMAT(5E0.8)"),
    /unreadable format/,
  ],
};

for (const [what, [bad, pattern]] of Object.entries(prmtops)) {
  Deno.test(`prmtop: ${what} is refused in one line`, () => {
    assert.match(refusal(() => readPrmtop(bad, "FILE")), pattern);
  });
}

Deno.test("prmtop: CRLF, trailing blanks and comments change nothing", () => {
  const expected = forceField("aldp");
  assert.deepEqual(readPrmtop(prmtop.replaceAll("\n", "\r\n"), "FILE"), expected);
  assert.deepEqual(readPrmtop(prmtop.replaceAll("\n", "   \n"), "FILE"), expected);
  const commented = prmtop.replaceAll(/(%FLAG MASS *\n)/g, "$1%COMMENT g/mol\n");
  assert.notEqual(commented, prmtop);
  assert.deepEqual(readPrmtop(commented, "FILE"), expected);
});

Deno.test("prmtop: without radii it is a molecule in vacuum, solvation is refused by name", () => {
  const bare = prmtop.slice(0, prmtop.indexOf("%FLAG RADII"));
  const field = readPrmtop(bare, "FILE");
  assert.equal(field.born, null);
  new MoleculeEnergy(field, "none");
  assert.throws(
    () => new MoleculeEnergy(field, "obc1"),
    /^InputError: solvent obc1 needs .* radii/,
  );
});

const xmls: Record<string, [string, RegExp]> = {
  "an empty file": ["", /line 1: there is no element/],
  "another document": ["<Integrator/>", /line 1: the document is a <Integrator>/],
  "a file cut in the middle": [xml.slice(0, xml.length >> 1), /line \d+: /],
  "an unknown force": [
    changed(xml, 'type="GBSAOBCForce"', 'type="CustomGBForce"'),
    /line 284: the force "CustomGBForce" is not supported/,
  ],
  "a constraint": [
    changed(
      xml,
      "<Constraints/>",
      '<Constraints><Constraint d="0.1" p1="0" p2="1"/></Constraints>',
    ),
    /line \d+: the system has 1 constraints, .*--drop-constraints/,
  ],
  "a cutoff": [
    changed(xml, 'method="0" name="NonbondedForce"', 'method="4" name="NonbondedForce"'),
    /NonbondedForce has method="4": only NoCutoff/,
  ],
  "a particle that does not exist": [changed(xml, 'p2="1"', 'p2="22"'), /p2 is 22, there are 22/],
  "a number that is none": [changed(xml, 'k="284512"', 'k="28 4512"'), /k of <Bond> is "28 4512"/],
  "NaN": [changed(xml, 'k="284512"', 'k="nan"'), /k of <Bond> is "nan", expected a number/],
  "a missing attribute": [changed(xml, ' k="284512"', ""), /<Bond> has no k/],
  "a negative mass": [
    changed(xml, 'mass="1.007947"', 'mass="-1"'),
    /line 9: the mass of particle 0/,
  ],
  "a virtual site": [
    changed(xml, '<Particle mass="1.007947"/>', '<Particle mass="1"><OutOfPlaneSite/></Particle>'),
    /virtual sites \(particle 0\)/,
  ],
  "a particle too few": [
    changed(xml, '<Particle mass="1.007947"/>', ""),
    /particles, expected 21|there are 21 particles/,
  ],
  "offsets": [
    changed(
      xml,
      "<ParticleOffsets/>",
      '<ParticleOffsets><Offset parameter="a"/></ParticleOffsets>',
    ),
    /<ParticleOffsets> of NonbondedForce is not supported/,
  ],
  "text between elements": [changed(xml, "<Forces>", "<Forces>hello"), /expected an element/],
  "a document type": ["<!DOCTYPE x>" + xml, /line 1: expected an element/],
  "crossed elements": [changed(xml, "</Bonds>", "</Angles>"), /<\/Angles> closes <Bonds>/],
};

for (const [what, [bad, pattern]] of Object.entries(xmls)) {
  Deno.test(`System XML: ${what} is refused in one line`, () => {
    assert.match(refusal(() => readSystemXml(bad, "FILE")), pattern);
  });
}

Deno.test("System XML: constraints are left out when asked, CMMotionRemover always", () => {
  const more = changed(
    changed(
      xml,
      "<Constraints/>",
      '<Constraints><Constraint d="0.1" p1="0" p2="1"/></Constraints>',
    ),
    "</Forces>",
    '<Force type="CMMotionRemover" version="1" frequency="1"/></Forces>',
  );
  assert.deepEqual(
    readSystemXml(more, "FILE", { dropConstraints: true }),
    readSystemXml(xml, "FILE"),
  );
});

const inpcrds: Record<string, [string, RegExp]> = {
  "an empty file": ["", /line 2: expected the number of atoms/],
  "another molecule": [
    changed(inpcrd, "    22", "    23"),
    /line 2: coordinates of 23 atoms, the molecule has 22/,
  ],
  "a cut line": [inpcrd.slice(0, -20), /line 13: expected 6 numbers/],
  "missing lines": [
    inpcrd.split("\n").slice(0, 8).join("\n"),
    /line 9: the file ends after 36 of 66/,
  ],
  "stars": [changed(inpcrd, /\d\.\d{7}/, "*********"), /is not a number|expected 6 numbers/],
  "NetCDF": ["CDF\u0001...", /binary NetCDF/],
  "more than velocities": [inpcrd + "1\n".repeat(4), /line 14: 4 more lines/],
};

for (const [what, [bad, pattern]] of Object.entries(inpcrds)) {
  Deno.test(`inpcrd: ${what} is refused in one line`, () => {
    assert.match(refusal(() => readInpcrd(bad, "FILE", 22)), pattern);
  });
}

Deno.test("inpcrd: velocities and a box behind the positions are left out, CRLF is read", () => {
  const expected = readInpcrd(inpcrd, "FILE", 22);
  const rows = inpcrd.trimEnd().split("\n");
  const long = [...rows, ...rows.slice(2), "  30.0000000  30.0000000  30.0000000"].join("\r\n");
  assert.deepEqual(readInpcrd(long, "FILE", 22), expected);
});

/** Changes of a text that files suffer: cut, missing, doubled or swapped pieces, wrong characters. */
interface Mutation {
  kind: string;
  at: number;
  length: number;
  character: string;
}
const mutation: fc.Arbitrary<Mutation> = fc.record({
  kind: fc.constantFrom("cut", "drop", "double", "swap", "character", "insert"),
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  length: fc.integer({ min: 1, max: 400 }),
  character: fc.constantFrom("x", " ", "-", "9", ".", "\n", "%", "<", '"', "\u0000", "E"),
});

function mutated(source: string, changes: readonly Mutation[]): string {
  let out = source;
  for (const { kind, at, length, character } of changes) {
    const from = Math.floor(at * out.length);
    const to = Math.min(out.length, from + length);
    const [head, piece, tail] = [out.slice(0, from), out.slice(from, to), out.slice(to)];
    if (kind === "cut") out = head;
    else if (kind === "drop") out = head + tail;
    else if (kind === "double") out = head + piece + piece + tail;
    else if (kind === "swap") out = head + tail.slice(0, length) + piece + tail.slice(length);
    else if (kind === "character") out = head + character + out.slice(from + 1);
    else out = head + character + out.slice(from);
  }
  return out;
}

const x = Float64Array.from(frames("aldp")[0].positions);

/** A reader gives a force field whose energy is a number, or one clear line. Nothing else. */
function readsOrRefuses(read: () => ForceField): ForceField | null {
  let field: ForceField;
  try {
    field = read();
  } catch (error) {
    assert.ok(error instanceof InputError, (error as Error).stack);
    assert.match(error.message, /^cannot read FILE: [^\n]+$/);
    assert.ok(error.message.length < 400, error.message);
    return null;
  }
  checkForceField(field);
  structureOf(field, null); // whatever the bonds are
  if (field.atoms.charges.length === 22) {
    structureOf(field, x);
    assert.ok(!Number.isNaN(new MoleculeEnergy(field, "none").evaluate(x, null)));
  }
  return field;
}

for (
  const [name, source, read] of [
    ["prmtop", prmtop, readPrmtop],
    ["System XML", xml, readSystemXml],
  ] as const
) {
  Deno.test(`${name}: a mutated file is read or refused in one line, 3000 files`, () => {
    fc.assert(
      fc.property(fc.array(mutation, { minLength: 1, maxLength: 4 }), (changes) => {
        readsOrRefuses(() => read(mutated(source, changes), "FILE"));
      }),
      { seed: 2666, numRuns: 3000 },
    );
  });

  Deno.test(`${name}: a file cut anywhere is refused, or has lost nothing but radii`, () => {
    const whole = read(source, "FILE");
    const end = source.trimEnd().length;
    let refused = 0, kept = 0;
    for (let length = 1; length < end; length += 7) {
      const field = readsOrRefuses(() => read(source.slice(0, length), "FILE"));
      if (!field) refused++;
      else {
        kept++;
        assert.equal(field.born, null, `cut to ${length} characters`);
        assert.deepEqual({ ...field, born: whole.born }, whole, `cut to ${length} characters`);
      }
    }
    assert.ok(refused > 1000 && kept < refused, `${refused} refused, ${kept} kept`);
  });
}

Deno.test("100 MB of garbage is refused in seconds, with its line", () => {
  const blanks = " ".repeat(1e8);
  const cases: [string, () => unknown, RegExp][] = [
    ["prmtop of blanks", () => readPrmtop(blanks, "FILE"), /line 1: longer than any line/],
    [
      "lines in a section",
      () => readPrmtop(section("MASS", "5E16.8", `${"x".repeat(79)}\n`.repeat(1.2e6)), "FILE"),
      /line 3/,
    ],
    ["blank lines", () => readPrmtop("\n".repeat(3e7), "FILE"), /no %FLAG/],
    ["XML of blanks", () => readSystemXml(`<System>${blanks}`, "FILE"), /ends inside <System>/],
    ["blanks in a tag", () => readSystemXml(`<System ${blanks}`, "FILE"), /cannot be read/],
    ["an endless value", () => readSystemXml(`<System a="${blanks}`, "FILE"), /cannot be read/],
    ["an endless comment", () => readSystemXml(`<!--${blanks}`, "FILE"), /not closed/],
    ["nesting", () => readSystemXml("<a>".repeat(1e7), "FILE"), /more than 50 deep/],
    ["coordinates", () => readInpcrd(blanks, "FILE", 22), /line 2/],
  ];
  for (const [what, read, pattern] of cases) {
    // Linear time: a thousandth of this would be minutes if it were quadratic.
    assert.match(refusal(read), pattern, what);
  }
});
