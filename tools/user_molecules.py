"""Makes molecules such as users bring, to try the program on (results: bench/results/user_molecules.md).

    python3 -m venv v && v/bin/pip install openmm==8.6.1 ParmEd==4.3.1 numpy==2.4.6
    v/bin/python tools/user_molecules.py make DIR [name ...]   # NAME.system.xml, .prmtop, .inpcrd, .npy
    v/bin/python tools/user_molecules.py compare DIR [name ...] # energies and forces against OpenMM

Peptides, nucleosides and water come from OpenMM's own force field files; the small organic ones from
the few parameters below, which have GAFF's form and about its values (they are no GAFF: charges are
round numbers). Development only: no test and no run of the project needs Python.
"""
import json
import os
import subprocess
import sys

import numpy as np
import openmm as mm
import openmm.app as app
from openmm import unit

import molecules as shared

KCAL = 4.184

# name: atoms "type:charge", bonds (pairs); types below. Coordinates are folded from random ones.
BOND = {  # kJ/mol/nm², nm (GAFF's are without ½)
    "c3 c3": (300.9, .1538), "c3 hc": (330.6, .1097), "c3 h1": (330.6, .1097), "c3 oh": (316.7, .1423),
    "oh ho": (371.4, .0973), "ca ca": (461.1, .1398), "ca ha": (345.8, .1086), "c3 f": (356.9, .1350),
    "c3 n4": (283.3, .1511), "n4 hn": (369.6, .1030), "c3 n3": (325.9, .1464), "n3 hn": (392.4, .1019),
    "c1 c1": (909.9, .1198), "c1 ha": (388.6, .1067), "c1 c3": (371.5, .1467), "c1 n1": (994.7, .1153),
    "c3 ss": (225.8, .1839), "ss ss": (150.0, .2050),
}
LJ = {  # Rmin/2 Å, epsilon kcal/mol
    "c3": (1.908, .1094), "ca": (1.908, .086), "c1": (1.908, .21), "hc": (1.487, .0157),
    "h1": (1.387, .0157), "ha": (1.459, .015), "oh": (1.721, .2104), "ho": (.3, .0047),
    "f": (1.75, .061), "n4": (1.824, .17), "n3": (1.824, .17), "n1": (1.824, .17), "hn": (.6, .0157),
    "ss": (2.0, .25),
}
ANGLE = {"c3": 109.5, "ca": 120.0, "c1": 180.0, "oh": 108.2, "n4": 109.5, "n3": 109.3, "ss": 103.0}
# kcal/mol per torsion, periodicity, phase in degrees, by the middle atoms.
TORSION = {"c3 c3": (.156, 3, 0), "c3 oh": (.167, 3, 0), "ca ca": (3.625, 2, 180), "c3 n4": (.156, 3, 0),
           "c3 n3": (.3, 3, 0), "c3 ss": (.333, 3, 0), "ss ss": (3.5, 2, 0)}
ELEMENT = {"c": "C", "h": "H", "o": "O", "f": "F", "n": "N", "s": "S"}


def chain(*groups, ring=False):
    """Atoms and bonds of a backbone: each group is (heavy, hydrogens or other ends)."""
    atoms, bonds, heavy = [], [], []
    for kind, ends in groups:
        heavy.append(len(atoms))
        atoms.append(kind)
        for end in ends:
            bonds.append((heavy[-1], len(atoms)))
            atoms.append(end)
    bonds += list(zip(heavy, heavy[1:]))
    if ring:
        bonds.append((heavy[-1], heavy[0]))
    return atoms, bonds


CH3, CH2 = ("c3:-.18", ["hc:.06"] * 3), ("c3:-.12", ["hc:.06"] * 2)
SMALL = {
    "methane": chain(("c3:-.24", ["hc:.06"] * 4)),
    "ethane": chain(CH3, CH3),
    "butane": chain(CH3, CH2, CH2, CH3),
    "hexane": chain(CH3, CH2, CH2, CH2, CH2, CH3),
    "neopentane": chain(CH3, ("c3:0", []), CH3),
    "ethanol": chain(CH3, ("c3:.13", ["h1:.03"] * 2), ("oh:-.6", ["ho:.41"])),
    "benzene": chain(*[("ca:-.13", ["ha:.13"])] * 6, ring=True),
    "cyclohexane": chain(*[CH2] * 6, ring=True),
    "cyclobutane": chain(*[CH2] * 4, ring=True),
    "trifluoroethane": chain(("c3:.6", ["f:-.2"] * 3), CH3),
    "methylammonium": chain(("c3:.1", ["h1:.1"] * 3), ("n4:-.3", ["hn:.3"] * 3)),
    "dimethylamine": chain(("c3:.04", ["h1:.05"] * 3), ("n3:-.76", ["hn:.38"]), ("c3:.04", ["h1:.05"] * 3)),
    "methylamine": chain(("c3:.05", ["h1:.05"] * 3), ("n3:-.9", ["hn:.35"] * 2)),
    "ammonia": chain(("n3:-1.05", ["hn:.35"] * 3)),
    "peroxide": chain(("oh:-.4", ["ho:.4"]), ("oh:-.4", ["ho:.4"])),
    "butyne": chain(CH3, ("c1:0", []), ("c1:0", []), CH3),
    "acetonitrile": chain(("c3:.07", ["hc:.06"] * 3), ("c1:.25", []), ("n1:-.5", [])),
    "acetylene": chain(("c1:-.2", ["ha:.2"]), ("c1:-.2", ["ha:.2"])),
    "dithiane": chain(CH2, CH2, CH2, CH2, ("ss:0", []), ("ss:0", []), ring=True),
    "piperidine": chain(*[CH2] * 5, ("n3:-.38", ["hn:.38"]), ring=True),
    "chlorine": (["f:0", "f:0"], [(0, 1)]),
}
SMALL["neopentane"][0].extend([a for k, e in [CH3] * 2 for a in [k, *e]])
for at in (9, 13):
    SMALL["neopentane"][1].extend([(4, at), (at, at + 1), (at, at + 2), (at, at + 3)])
BOND["oh oh"] = (250.0, .1460)
TORSION["oh oh"] = (1.2, 2, 0)
BOND["f f"] = (300.0, .1420)

AMINO = "amber14/protein.ff14SB.xml"
PEPTIDES = {
    "ala3": ([AMINO], [["ACE", "ALA", "ALA", "ALA", "NME"]], []),
    "ala6": ([AMINO], [["ACE", *["ALA"] * 6, "NME"]], []),
    "gly": ([AMINO], [["ACE", "GLY", "NME"]], []),
    "pro": ([AMINO], [["ACE", "PRO", "NME"]], []),
    "phe": ([AMINO], [["ACE", "PHE", "NME"]], []),
    "lys": ([AMINO], [["ACE", "LYS", "NME"]], []),
    "arg": ([AMINO], [["ACE", "ARG", "NME"]], []),
    "val": ([AMINO], [["ACE", "VAL", "NME"]], []),
    "thr": ([AMINO], [["ACE", "THR", "NME"]], []),
    "trpleu": ([AMINO], [["ACE", "TRP", "LEU", "VAL", "NME"]], []),
    "ring_disulphide": ([AMINO], [["ACE", "CYX", "GLY", "CYX", "NME"]], [((0, 1, "SG"), (0, 3, "SG"))]),
    "adenosine": (["amber14/DNA.OL15.xml"], [["DAN"]], []),
}
shared.MOLECULES.update(PEPTIDES)
shared.ORDER.clear()  # the templates' own
shared.NUCLEOSIDE["DAN"] = shared.NUCLEOSIDE["DA5"]
# Threonine's second centre, (2S, 3R).
THREONINE = ("CB", "CA", "OG1", "CG2", +1)


def small(name):
    kinds, bonds = SMALL[name]
    types = [k.split(":")[0] for k in kinds]
    charges = [float(k.split(":")[1]) for k in kinds]
    neighbours = [sorted([b for p in bonds for b in p if a in p and b != a]) for a in range(len(types))]
    topology = app.Topology()
    residue = topology.addResidue("MOL", topology.addChain())
    count = {}
    atoms = []
    for kind in types:
        symbol = ELEMENT[kind[0]]
        count[symbol] = count.get(symbol, 0) + 1
        atoms.append(topology.addAtom(f"{symbol}{count[symbol]}", app.Element.getBySymbol(symbol), residue))
    system = mm.System()
    for atom in atoms:
        system.addParticle(atom.element.mass)
    stretch, bend, turn = mm.HarmonicBondForce(), mm.HarmonicAngleForce(), mm.PeriodicTorsionForce()
    nonbonded = mm.NonbondedForce()

    def of(table, *pair):
        return table.get(" ".join(pair)) or table.get(" ".join(pair[::-1]))

    for i, j in bonds:
        topology.addBond(atoms[i], atoms[j])
        k, r = of(BOND, types[i], types[j])
        stretch.addBond(i, j, r, 2 * k * KCAL * 100)
    for j, around in enumerate(neighbours):
        for a, i in enumerate(around):
            for k in around[a + 1:]:
                inside_square = name == "cyclobutane" and types[i] == types[k] == "c3"
                angle = 90 if inside_square else ANGLE[types[j]]
                bend.addAngle(i, j, k, np.radians(angle), 2 * 50 * KCAL)
    for j, k in bonds:
        term = of(TORSION, types[j], types[k])
        if term is None:
            continue
        for i in neighbours[j]:
            for l in neighbours[k]:
                if i != k and l != j and i != l:
                    turn.addTorsion(i, j, k, l, term[1], np.radians(term[2]), term[0] * KCAL)
    for kind, q in zip(types, charges):
        r, e = LJ[kind]
        nonbonded.addParticle(q, 2 * r / 10 / 2 ** (1 / 6), e * KCAL)
    nonbonded.createExceptionsFromBonds(bonds, 1 / 1.2, .5)
    for force in (stretch, bend, turn, nonbonded):
        system.addForce(force)
    return topology, system, []


def water(model="amber14/tip3p.xml", molecules=1, extra=False):
    field = app.ForceField(model)
    topology = app.Topology()
    chain = topology.addChain()
    for _ in range(molecules):
        residue = topology.addResidue("HOH", chain)
        o, h1, h2 = (topology.addAtom(n, app.Element.getBySymbol(n[0]), residue) for n in ("O", "H1", "H2"))
        topology.addBond(o, h1)
        topology.addBond(o, h2)
    modeller = app.Modeller(topology, [mm.Vec3(.3 * (k // 3) + [0, .096, -.024][k % 3], [0, 0, .093][k % 3], 0)
                                       for k in range(3 * molecules)] * unit.nanometer)
    if extra:
        modeller.addExtraParticles(field)
    system = field.createSystem(modeller.topology, nonbondedMethod=app.NoCutoff, rigidWater=False,
                                removeCMMotion=False)
    return modeller.topology, system, np.array(modeller.positions.value_in_unit(unit.nanometer))


def build(name):
    """Topology, system, coordinates in nm (minimised)."""
    if name.startswith("water"):
        return {"water": water, "water2": lambda: water(molecules=2),
                "water_site": lambda: water("amber14/tip4pew.xml", extra=True)}[name]()
    if name == "peptide_cmap":
        shared.MOLECULES[name] = (["amber19/protein.ff19SB.xml"], [["ACE", "ALA", "NME"]], [])
    if name in ("ethanol_hmr", "ethanol_constraints"):
        topology, system, x = build("ethanol")
        oxygen = {a.index: a.element.symbol for a in topology.atoms()}
        for a, b in topology.bonds():
            heavy, light = (a.index, b.index) if oxygen[b.index] == "H" else (b.index, a.index)
            if oxygen[light] != "H":
                continue
            if name == "ethanol_constraints":
                system.addConstraint(heavy, light, np.linalg.norm(x[heavy] - x[light]))
            else:
                moved = 3.024 - system.getParticleMass(light)._value
                system.setParticleMass(light, 3.024)
                system.setParticleMass(heavy, system.getParticleMass(heavy)._value - moved)
        return topology, system, x
    topology, system, centres = small(name) if name in SMALL else shared.build(name)
    if name == "thr":
        by_name = {a.name: a.index for a in topology.atoms() if a.residue.name == "THR"}
        centres.append(([by_name[n] for n in THREONINE[:4]], THREONINE[4]))
    x, energy, _ = shared.best_fold(system, centres, 6 if len(centres) < 2 else 30)
    print(f"{name}: {len(x)} atoms, {energy:.3f} kJ/mol in vacuum")
    return topology, system, x


NO_PRMTOP = ("ethanol_hmr", "ethanol_constraints", "water_site")
ALL = [*SMALL, *PEPTIDES, "water", "water2", "water_site", "ethanol_hmr", "ethanol_constraints", "peptide_cmap"]


def make(folder, names):
    os.makedirs(folder, exist_ok=True)
    for name in names:
        at = os.path.join(folder, name)
        topology, system, x = build(name)
        with open(f"{at}.system.xml", "w") as file:
            file.write(mm.XmlSerializer.serialize(system))
        np.save(f"{at}.npy", x[None])
        with open(f"{at}.pdb", "w") as file:
            app.PDBFile.writeFile(topology, x * 10 * unit.angstrom, file)
        if name in NO_PRMTOP:
            continue
        with open(f"{at}.prmtop", "w") as file:
            file.write(shared.prmtop_text(shared.structure(topology, system, x)))
        with open(f"{at}.inpcrd", "w") as file:
            file.write(shared.inpcrd_text(name, x))


def frames(system, x, count=20):
    """The geometry, and hot ones from it."""
    moved = shared.trajectory(system, x, 600, count - 1, 100, 3)
    return np.round(np.concatenate([[x], moved]), 6)


def of_prmtop(path):
    """By solvent; OpenMM would leave the bonds of water out."""
    prmtop = app.AmberPrmtopFile(path)
    return {name: prmtop.createSystem(nonbondedMethod=app.NoCutoff, constraints=None, rigidWater=False,
                                      implicitSolvent=solvent, removeCMMotion=False,
                                      soluteDielectric=1.0, solventDielectric=78.5)
            for name, solvent in shared.SOLVENTS.items()}


def compare(folder, names):
    for name in names:
        at = os.path.join(folder, name)
        xml = open(f"{at}.system.xml").read()
        x = np.load(f"{at}.npy")[0]
        files = {f"{at}.system.xml": {"none": mm.XmlSerializer.deserialize(xml)}}
        if os.path.exists(f"{at}.prmtop"):
            files[f"{at}.prmtop"] = of_prmtop(f"{at}.prmtop")
        batch = frames(mm.XmlSerializer.deserialize(xml), x)
        np.save(f"{at}.frames.npy", batch)
        for path, by_solvent in files.items():
            for solvent, system in by_solvent.items():
                context = shared.reference(system)
                told = [shared.evaluate(context, frame) for frame in batch]
                for backend in ("reference", "wasm"):
                    done = subprocess.run(
                        ["deno", "run", "-A", "--no-check", "src/mod.ts", "energy", path, "--coordinates", f"{at}.frames.npy",
                         "--solvent", solvent, "--forces", "--json", "--backend", backend],
                        capture_output=True, text=True, cwd=shared.ROOT)
                    if done.returncode:
                        print(f"{name} {os.path.basename(path)} {solvent}: {done.stderr.strip()}")
                        break
                    got = json.loads(done.stdout)
                    energies = np.array([e for e, _, _ in told])
                    forces = np.array([f for _, _, f in told])
                    off = np.abs(np.array(got["energies"]) - energies) / np.maximum(1, np.abs(energies))
                    # Frame 0 is a minimum: there is no force to be relative to.
                    norm = np.linalg.norm(forces, axis=(1, 2))
                    turned = np.linalg.norm(np.array(got["forces"], dtype=float) - forces, axis=(1, 2)) / norm
                    print(f"{name:20} {len(x):3} atoms  {os.path.basename(path):28} {solvent:5} {backend:9} "
                          f"energy {off.max():.1e}  force {turned[1:].max():.1e}")


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in ("make", "compare"):
        raise SystemExit("usage: user_molecules.py make|compare DIR [name ...]")
    {"make": make, "compare": compare}[sys.argv[1]](sys.argv[2], sys.argv[3:] or ALL)
