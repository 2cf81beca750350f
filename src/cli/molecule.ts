/** `mintjulep inspect` and `mintjulep energy`: molecules from files, without training anything. */
import {
  argument,
  choice,
  command,
  constant,
  type InferValue,
  message,
  object,
  option,
  optional,
  string,
  withDefault,
} from "@optique/core";
import { InputError } from "../errors.ts";
import { pathOption, sentence } from "./options.ts";
import { printData, printNotice, printPiece, table } from "./output.ts";

const file = (command: string) =>
  argument(string({ metavar: "FILE" }), {
    description: message`AMBER prmtop or OpenMM System XML, or the preset aldp or aldp-vacuum`,
    errors: {
      endOfInput: sentence(`${command} needs FILE: a prmtop, an OpenMM System XML, or aldp`),
    },
  });

const shared = (command: string) => ({
  file: file(command),
  coordinates: optional(
    pathOption(
      "--coordinates",
      "FILE",
      "Configurations: .npy or .npz (nm), .pdb, .dcd, inpcrd (Å)",
    ),
  ),
  dropConstraints: option("--drop-constraints", {
    description: message`Leave distance constraints of a System out instead of refusing them`,
  }),
  json: option("--json", { description: message`One JSON object on standard output` }),
});

export const inspectCommand = command(
  "inspect",
  object({ command: constant("inspect"), ...shared("inspect") }),
  { description: message`Tell what is in a molecule's parameter file, and its energy by term` },
);

export const energyCommand = command(
  "energy",
  object({
    command: constant("energy"),
    ...shared("energy"),
    solvent: optional(option("--solvent", choice(["none", "obc1", "obc2"]), {
      description:
        message`none, obc1 or obc2; by default that of the preset or System, none for a prmtop`,
    })),
    forces: option("--forces", { description: message`Forces too (with --json)` }),
    backend: withDefault(
      option("--backend", choice(["reference", "wasm", "webgpu"]), {
        description:
          message`reference (float64, the default), wasm or webgpu (float32, many times faster)`,
      }),
      "reference" as const,
    ),
  }),
  { description: message`Energies (kJ/mol) and forces of a batch of configurations` },
);

export async function runInspect(options: InferValue<typeof inspectCommand>): Promise<number> {
  const { inspectMolecule } = await import("../run/molecule.ts");
  const found = await inspectMolecule(options.file, options);
  if (options.json) printData(JSON.stringify(found, null, 2));
  else printData(table({ ...found, energies: found.energies && inDecimals(found.energies) }));
  return 0;
}

/** Energies by the name of their term, to a millionth of a kJ/mol. */
function inDecimals(energies: Readonly<Record<string, number>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(energies).map(([name, value]) => [`${name}, kJ/mol`, value.toFixed(6)]),
  );
}

export async function runEnergy(options: InferValue<typeof energyCommand>): Promise<number> {
  if (options.forces && !options.json) {
    throw new InputError("--forces needs --json: the table has energies alone");
  }
  const { evaluateMolecule } = await import("../run/molecule.ts");
  const found = await evaluateMolecule(options.file, options);
  const bad = found.energies.reduce((n, e) => n + (Number.isFinite(e) ? 0 : 1), 0);
  if (bad > 0) {
    printNotice(`warning: ${bad} of ${found.count} energies are not finite (null in JSON)\n`);
  }
  if (options.json) printJson(found, options.forces);
  else printTable(found);
  return 0;
}

type Energies = Awaited<ReturnType<typeof import("../run/molecule.ts")["evaluateMolecule"]>>;

/** One object, printed in pieces: forces of a large batch would not fit one string. */
function printJson(found: Energies, withForces: boolean): void {
  const { solvent, count, atoms, energies, terms, forces } = found;
  const list = (values: Float64Array) => JSON.stringify([...values]);
  const parts = Object.entries(terms).map(([name, values]) => `"${name}": ${list(values)}`);
  printPiece(
    `{\n"units": {"energies": "kJ/mol", "forces": "kJ/mol/nm"},\n"solvent": "${solvent}",\n` +
      `"count": ${count},\n"atoms": ${atoms},\n"energies": ${list(energies)},\n` +
      `"terms": {${parts.join(",\n")}}`,
  );
  if (withForces) {
    printPiece(',\n"forces": [');
    for (let s = 0; s < count; s++) {
      const rows = Array.from(
        { length: atoms },
        (_, i) => list(forces.subarray(3 * (s * atoms + i), 3 * (s * atoms + i + 1))),
      );
      printPiece(`${s > 0 ? ",\n" : "\n"}[${rows.join(",")}]`);
    }
    printPiece("\n]");
  }
  printPiece("\n}\n");
}

function printTable({ count, energies, terms }: Energies): void {
  const columns = Object.entries({ total: energies, ...terms });
  printPiece(`${"# kJ/mol".padEnd(10)}${columns.map(([name]) => name.padStart(16)).join("")}\n`);
  for (let s = 0; s < count; s++) {
    const row = columns.map(([, values]) => values[s].toFixed(6).padStart(16)).join("");
    printPiece(`${String(s).padEnd(10)}${row}\n`);
  }
}
