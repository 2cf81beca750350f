/** OpenMM's serialised System (XML) as a ForceField. */
import type { BornData, ForceField } from "../../config/force_field.ts";
import { InputError } from "../../errors.ts";
import { elementsOfMasses } from "./elements.ts";
import { shown } from "./sections.ts";
import { BORN_OFFSET } from "./units.ts";
import { type Element, readXml } from "./xml.ts";

export interface SystemXmlOptions {
  /** Leave distance constraints out instead of refusing them. */
  readonly dropConstraints?: boolean;
}

/** Attributes and lists of each force that are read; others must be absent or say nothing. */
const IGNORED_LISTS = new Set(["PerParticleParameters", "EnergyParameterDerivatives"]);
const MAX_ATOMS = 100_000;

/**
 * The force field in an OpenMM System. Throws InputError of one line with force and line number for a
 * damaged file and for every force, constraint or option that would change the energy and is not
 * computed here.
 */
export function readSystemXml(
  text: string,
  path: string,
  options: SystemXmlOptions = {},
): ForceField {
  return new SystemReader(readXml(text, path), path).forceField(options);
}

class SystemReader {
  readonly #root: Element;
  readonly #path: string;
  #atoms = 0;

  constructor(root: Element, path: string) {
    this.#root = root;
    this.#path = path;
  }

  forceField({ dropConstraints = false }: SystemXmlOptions): ForceField {
    const root = this.#root;
    if (root.name !== "System") {
      this.#fail(root, `the document is a <${root.name}>, expected an OpenMM <System>`);
    }
    const masses = this.#masses();
    const N = this.#atoms = masses.length;
    const constraints = this.#only(root, "Constraints")?.children ?? [];
    if (constraints.length > 0 && !dropConstraints) {
      this.#fail(
        constraints[0],
        `the system has ${constraints.length} constraints, which are not supported: build it with ` +
          "constraints=None, or give --drop-constraints if their bonds also have springs",
      );
    }
    const forces = this.#only(root, "Forces") ?? this.#fail(root, "<Forces> is missing");
    const forceField: ForceField = {
      title: "OpenMM System",
      atoms: {
        names: [],
        residues: new Array(N).fill(0),
        residueNames: ["MOL"],
        elements: [],
        masses,
        charges: [],
      },
      bonds: [],
      angles: [],
      torsions: [],
      lennardJones: { types: [], a: [], b: [] },
      exceptions: [],
      born: null,
    };
    let bornCharges: number[] | null = null;
    for (const force of forces.children) {
      const type = force.attributes.get("type") ?? "";
      switch (force.name === "Force" ? type : force.name) {
        case "HarmonicBondForce":
          forceField.bonds.push(...this.#rows(force, "Bonds", "Bond", 2, ["d", "k"]));
          break;
        case "HarmonicAngleForce":
          forceField.angles.push(...this.#rows(force, "Angles", "Angle", 3, ["a", "k"]));
          break;
        case "PeriodicTorsionForce":
          forceField.torsions.push(
            ...this.#rows(force, "Torsions", "Torsion", 4, ["periodicity", "phase", "k"])
              .filter((row) => row[6] !== 0),
          );
          break;
        case "NonbondedForce":
          if (forceField.atoms.charges.length > 0) this.#fail(force, "a second NonbondedForce");
          this.#nonbonded(force, forceField);
          break;
        case "GBSAOBCForce":
          if (bornCharges) this.#fail(force, "a second GBSAOBCForce");
          [forceField.born, bornCharges] = this.#born(force);
          break;
        case "CMMotionRemover":
          break; // keeps the centre of mass in place: no energy
        default:
          this.#fail(force, `the force ${shown(type || force.name)} is not supported`);
      }
    }
    this.#torsionsAreWhole(forceField);
    const { charges } = forceField.atoms;
    if (charges.length === 0) this.#fail(forces, "there is no NonbondedForce");
    const other = bornCharges?.findIndex((q, i) => q !== charges[i]) ?? -1;
    if (other >= 0) {
      this.#fail(
        forces,
        `the charge of particle ${other} is ${bornCharges![other]} in GBSAOBCForce, ` +
          `${charges[other]} in NonbondedForce`,
      );
    }
    // A System has no elements: its masses and bonds have to do.
    const elements = elementsOfMasses(masses, forceField.bonds);
    const names = elements.map(({ symbol }, i) => `${symbol}${i + 1}`);
    const numbers = elements.map(({ number }) => number);
    return { ...forceField, atoms: { ...forceField.atoms, names, elements: numbers } };
  }

  #fail(element: Element, what: string): never {
    throw new InputError(`cannot read ${this.#path}: line ${element.line}: ${what}`);
  }

  /** The one child of a name, if there is one. */
  #only(element: Element, name: string): Element | undefined {
    const found = element.children.filter((child) => child.name === name);
    if (found.length > 1) this.#fail(found[1], `<${name}> is there twice`);
    return found[0];
  }

  #number(element: Element, name: string): number {
    const text = element.attributes.get(name);
    if (text === undefined) return this.#fail(element, `<${element.name}> has no ${name}`);
    const value = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text) ? Number(text) : NaN;
    if (!Number.isFinite(value)) {
      this.#fail(element, `${name} of <${element.name}> is ${shown(text)}, expected a number`);
    }
    return value;
  }

  /** An option that must have its plain value, or be absent. */
  #plain(force: Element, name: string, what: string): void {
    const text = force.attributes.get(name);
    if (text !== undefined && Number(text) !== 0) {
      this.#fail(force, `${force.attributes.get("type")} has ${name}="${text}": ${what}`);
    }
  }

  /** Lists that must be empty: parameters that vary, offsets. */
  #nothingElse(force: Element, ...read: string[]): void {
    for (const child of force.children) {
      if (read.includes(child.name) || IGNORED_LISTS.has(child.name)) continue;
      if (child.children.length > 0) {
        this.#fail(child, `<${child.name}> of ${force.attributes.get("type")} is not supported`);
      }
    }
  }

  #masses(): number[] {
    const particles = this.#only(this.#root, "Particles") ??
      this.#fail(this.#root, "<Particles> is missing");
    const N = particles.children.length;
    if (N < 2 || N > MAX_ATOMS) {
      this.#fail(particles, `there are ${N} particles, expected 2 to ${MAX_ATOMS}`);
    }
    return particles.children.map((particle, i) => {
      if (particle.name !== "Particle") this.#fail(particle, `unknown <${particle.name}>`);
      if (particle.children.length > 0) {
        this.#fail(particle, `virtual sites (particle ${i}) are not supported`);
      }
      const mass = this.#number(particle, "mass");
      if (!(mass > 0)) this.#fail(particle, `the mass of particle ${i} is ${mass}`);
      return mass;
    });
  }

  /** Rows [particles..., values...] of a list. */
  #rows(force: Element, list: string, item: string, width: number, names: string[]): number[][] {
    this.#plain(force, "usesPeriodic", "periodic boxes are not supported");
    this.#nothingElse(force, list);
    return (this.#only(force, list)?.children ?? []).map((element) => {
      if (element.name !== item) this.#fail(element, `unknown <${element.name}> in <${list}>`);
      const atoms = this.#particles(element, width);
      return [...atoms, ...names.map((name) => this.#number(element, name))];
    });
  }

  #particles(element: Element, width: number): number[] {
    const atoms = Array.from({ length: width }, (_, k) => {
      const value = this.#number(element, `p${k + 1}`);
      if (!(Number.isInteger(value) && value >= 0 && value < this.#atoms)) {
        this.#fail(element, `p${k + 1} is ${value}, there are ${this.#atoms} particles`);
      }
      return value;
    });
    if (new Set(atoms).size < width) this.#fail(element, "a particle is there twice");
    return atoms;
  }

  #torsionsAreWhole({ torsions }: ForceField): void {
    for (const row of torsions) {
      if (Number.isInteger(row[4]) && row[4] >= 0 && row[4] <= 12) continue;
      this.#fail(this.#root, `a torsion has periodicity ${row[4]}`);
    }
  }

  #nonbonded(force: Element, into: ForceField): void {
    this.#plain(force, "method", "only NoCutoff (0) is supported");
    this.#nothingElse(force, "Particles", "Exceptions");
    const sigmas: number[] = [];
    const epsilons: number[] = [];
    for (const particle of this.#only(force, "Particles")?.children ?? []) {
      into.atoms.charges.push(this.#number(particle, "q"));
      const [sigma, epsilon] = this.#sigmaEpsilon(particle);
      sigmas.push(sigma);
      epsilons.push(epsilon);
    }
    if (sigmas.length !== this.#atoms) {
      this.#fail(force, `NonbondedForce has ${sigmas.length} particles, expected ${this.#atoms}`);
    }
    into.lennardJones = mixedTable(sigmas, epsilons);
    const seen = new Set<number>();
    for (const exception of this.#only(force, "Exceptions")?.children ?? []) {
      const [p, q] = this.#particles(exception, 2);
      const [i, j] = [Math.min(p, q), Math.max(p, q)];
      if (seen.has(i * this.#atoms + j)) this.#fail(exception, "this pair has two exceptions");
      seen.add(i * this.#atoms + j);
      const [sigma, epsilon] = this.#sigmaEpsilon(exception);
      const [a, b] = coefficients(sigma, epsilon);
      into.exceptions.push([i, j, this.#number(exception, "q"), a, b]);
    }
  }

  #sigmaEpsilon(element: Element): [number, number] {
    const sigma = this.#number(element, "sig");
    const epsilon = this.#number(element, "eps");
    if (sigma < 0 || epsilon < 0) {
      this.#fail(element, `sigma ${sigma} and epsilon ${epsilon} must not be negative`);
    }
    return [sigma, epsilon];
  }

  #born(force: Element): [BornData, number[]] {
    this.#plain(force, "method", "only NoCutoff (0) is supported");
    this.#nothingElse(force, "Particles");
    const particles = this.#only(force, "Particles")?.children ?? [];
    if (particles.length !== this.#atoms) {
      this.#fail(force, `GBSAOBCForce has ${particles.length} particles, expected ${this.#atoms}`);
    }
    const [soluteDielectric, solventDielectric] = ["soluteDielectric", "solventDielectric"].map(
      (name) => {
        const value = this.#number(force, name);
        if (!(value > 0)) this.#fail(force, `${name} is ${value}`);
        return value;
      },
    );
    const radii = particles.map((particle, i) => {
      const radius = this.#number(particle, "r");
      if (!(radius > BORN_OFFSET)) this.#fail(particle, `the radius of particle ${i} is ${radius}`);
      return radius;
    });
    const screens = particles.map((particle, i) => {
      const screen = this.#number(particle, "scale");
      if (!(screen >= 0)) this.#fail(particle, `the scale of particle ${i} is ${screen}`);
      return screen;
    });
    const surfaceTension = this.#number(force, "surfaceAreaEnergy");
    return [
      { radii, screens, soluteDielectric, solventDielectric, surfaceTension },
      particles.map((particle) => this.#number(particle, "q")),
    ];
  }
}

/** A = 4εσ¹², B = 4εσ⁶. */
function coefficients(sigma: number, epsilon: number): [number, number] {
  const sixth = sigma ** 6;
  return [4 * epsilon * sixth * sixth, 4 * epsilon * sixth];
}

/** Types are the distinct (σ, ε); pairs mix by Lorentz and Berthelot. */
function mixedTable(sigmas: number[], epsilons: number[]): ForceField["lennardJones"] {
  const kinds: [number, number][] = [];
  const known = new Map<string, number>();
  const types = sigmas.map((sigma, i) => {
    const key = `${sigma} ${epsilons[i]}`;
    let type = known.get(key);
    if (type === undefined) {
      known.set(key, type = kinds.length);
      kinds.push([sigma, epsilons[i]]);
    }
    return type;
  });
  const pairs = kinds.flatMap(([s, e]) =>
    kinds.map(([s2, e2]) => coefficients((s + s2) / 2, Math.sqrt(e * e2)))
  );
  return { types, a: pairs.map(([a]) => a), b: pairs.map(([, b]) => b) };
}
