"""Makes the molecules this project ships and tests with, from OpenMM's own force field files.

    python3 -m venv v && v/bin/pip install openmm==8.6.1 ParmEd==4.3.1 numpy==2.4.6
    v/bin/python tools/molecules.py presets   # src/systems/molecule/presets/
    v/bin/python tools/molecules.py oracles   # tests/data/molecules/

A molecule is put together from residue templates (atoms, bonds), folded from random coordinates with
its stereocentres held in hand, minimised, and written as AMBER prmtop + inpcrd (ParmEd) and OpenMM
System XML. An oracle is what OpenMM's Reference platform (float64) says of a few frames of a hot
trajectory: energies by term and forces, without solvent, with OBC1 and OBC2, in kJ/mol and nm.

Development only: no test and no run of the project needs Python.
"""
import json
import os
import sys
import warnings

import numpy as np
import openmm as mm
import openmm.app as app
import parmed

warnings.filterwarnings("ignore")
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
DATA = os.path.join(ROOT, "tests", "data", "molecules")
VERSIONS = f"OpenMM {mm.__version__}, ParmEd {parmed.__version__}, numpy {np.__version__}"

# Signed volumes of (first - centre) x (second - centre) . (third - centre): +1 or -1.
L_AMINO = [("CA", "N", "C", "CB", +1)]
SUGAR = [("C4'", "O4'", "C3'", "C5'", -1), ("C3'", "O3'", "C4'", "C2'", +1)]
NUCLEOSIDE = {"DA5": SUGAR + [("C1'", "O4'", "C2'", "N9", +1)],
              "DT3": SUGAR + [("C1'", "O4'", "C2'", "N1", +1)]}

MOLECULES = {
    # name: force field, chains of residues, links between (chain, residue, atom) pairs
    "aldp": (["amber96.xml"], [["ACE", "ALA", "NME"]], []),
    "disulphide": (["amber14/protein.ff14SB.xml"], [["ACE", "CYX", "NME"]] * 2,
                   [((0, 1, "SG"), (1, 1, "SG"))]),
    "tetrapeptide": (["amber14/protein.ff14SB.xml"], [["NALA", "LYS", "ASP", "CARG"]], []),
    "dinucleotide": (["amber14/DNA.OL15.xml"], [["DA5", "DT3"]], []),
    # Larger alanine peptides: more soft torsions than a grid can hold.
    "ala2": (["amber96.xml"], [["ACE", "ALA", "ALA", "NME"]], []),
    "ala3": (["amber96.xml"], [["ACE", "ALA", "ALA", "ALA", "NME"]], []),
}
# The order of tleap, which published alanine dipeptide files and samples use.
ORDER = {"ACE": "HH31 CH3 HH32 HH33 C O"}

def build(name):
    """Topology of a molecule, its OpenMM system in vacuum, and its stereocentres."""
    files, chains, links = MOLECULES[name]
    field = app.ForceField(*files)
    topology = app.Topology()
    made, centres = {}, []
    for c, residues in enumerate(chains):
        chain = topology.addChain()
        previous = None
        for r, residue_name in enumerate(residues):
            template = field._templates[residue_name]
            residue = topology.addResidue(residue_name, chain)
            by_name = {a.name: a for a in template.atoms}
            names = ORDER.get(residue_name, " ".join(a.name for a in template.atoms)).split()
            assert sorted(names) == sorted(by_name), residue_name
            atoms = {n: topology.addAtom(n, by_name[n].element, residue) for n in names}
            for i, j in template.bonds:
                topology.addBond(atoms[template.atoms[i].name], atoms[template.atoms[j].name])
            if previous is not None:
                a, b = ("C", "N") if "C" in previous and "N" in atoms else ("O3'", "P")
                topology.addBond(previous[a], atoms[b])
            for centre in NUCLEOSIDE.get(residue_name, L_AMINO if "CB" in atoms else []):
                centres.append(([atoms[n].index for n in centre[:4]], centre[4]))
            previous = atoms
            made[c, r] = atoms
    for (c0, r0, a0), (c1, r1, a1) in links:
        topology.addBond(made[c0, r0][a0], made[c1, r1][a1])
    system = field.createSystem(topology, nonbondedMethod=app.NoCutoff, constraints=None,
                                removeCMMotion=False)
    return topology, system, centres


def handedness(x, atoms):
    c, p, q, r = (x[i] for i in atoms)
    return np.sign(np.dot(np.cross(p - c, q - c), r - c))


def fold(system, centres, seed):
    """Minimised coordinates (nm) from random ones: bonded terms first, then all."""
    n = system.getNumParticles()
    staged = mm.XmlSerializer.clone(system)
    volume = mm.CustomCompoundBondForce(
        4, "1e8*max(0, 1.5e-3-v)^2;"
        "v=s*((ax*by-ay*bx)*cz+(ay*bz-az*by)*cx+(az*bx-ax*bz)*cy);"
        "ax=x2-x1;ay=y2-y1;az=z2-z1;bx=x3-x1;by=y3-y1;bz=z3-z1;cx=x4-x1;cy=y4-y1;cz=z4-z1")
    volume.addPerBondParameter("s")
    for atoms, sign in centres:
        volume.addBond(atoms, [float(sign)])
    for force in staged.getForces():
        force.setForceGroup(1 if isinstance(force, mm.NonbondedForce) else 0)
    repulsion = mm.CustomNonbondedForce("500*max(0, 0.3-r)^2/0.01")
    for _ in range(n):
        repulsion.addParticle([])
    nonbonded = [f for f in system.getForces() if isinstance(f, mm.NonbondedForce)][0]
    for k in range(nonbonded.getNumExceptions()):
        i, j, *_ = nonbonded.getExceptionParameters(k)
        repulsion.addExclusion(i, j)
    staged.addForce(volume)
    staged.addForce(repulsion)
    integrator = mm.LangevinMiddleIntegrator(600, 5, 0.0005)
    integrator.setIntegrationForceGroups({0})
    integrator.setRandomNumberSeed(seed)
    context = mm.Context(staged, integrator, mm.Platform.getPlatformByName("CPU"),
                         {"Threads": "1"})
    rng = np.random.default_rng(seed)
    context.setPositions(rng.normal(0, 0.3, (n, 3)))
    mm.LocalEnergyMinimizer.minimize(context, maxIterations=3000)
    context.setVelocitiesToTemperature(600, seed)
    integrator.step(4000)
    mm.LocalEnergyMinimizer.minimize(context, maxIterations=3000)
    x = context.getState(getPositions=True).getPositions(asNumpy=True)._value
    final = mm.Context(system, mm.VerletIntegrator(0.001), mm.Platform.getPlatformByName("CPU"),
                       {"Threads": "1"})
    final.setPositions(x)
    mm.LocalEnergyMinimizer.minimize(final, tolerance=0.01, maxIterations=20000)
    state = final.getState(getPositions=True, getEnergy=True)
    x = state.getPositions(asNumpy=True)._value
    right = all(handedness(x, atoms) == sign for atoms, sign in centres)
    return x - x.mean(0), state.getPotentialEnergy()._value, right


def best_fold(system, centres, tries):
    kept = [r for r in (fold(system, centres, seed) for seed in range(1, tries + 1)) if r[2]]
    if not kept:
        raise SystemExit("no fold has the right handedness")
    return min(kept, key=lambda r: r[1])


def structure(topology, system, x):
    """ParmEd structure with mbondi2 radii."""
    made = parmed.openmm.load_topology(topology, system, x * 10)
    made = parmed.amber.AmberParm.from_structure(made)
    parmed.tools.changeRadii(made, "mbondi2").execute()
    return made


def prmtop_text(made):
    path = f"/tmp/molecules-{os.getpid()}.prmtop"
    made.write_parm(path)
    with open(path) as file:
        text = file.read()
    os.remove(path)
    lines = text.splitlines()
    # No clock in a file that is kept.
    lines[0] = "%VERSION  VERSION_STAMP = V0001.000  DATE = 01/01/00  00:00:00"
    return "\n".join(line.rstrip() if line.startswith("%") else line for line in lines) + "\n"


def inpcrd_text(name, x):
    out = [name, f"{len(x):6d}"]
    numbers = (x * 10).reshape(-1)
    out += ["".join(f"{v:12.7f}" for v in numbers[k:k + 6]) for k in range(0, len(numbers), 6)]
    return "\n".join(out) + "\n"


SOLVENTS = {"none": None, "obc1": app.OBC1, "obc2": app.OBC2}


def systems(prmtop_path):
    """The molecule as OpenMM reads the prmtop, by solvent."""
    prmtop = app.AmberPrmtopFile(prmtop_path)
    return {name: prmtop.createSystem(nonbondedMethod=app.NoCutoff, constraints=None,
                                      implicitSolvent=solvent, removeCMMotion=False,
                                      soluteDielectric=1.0, solventDielectric=78.5)
            for name, solvent in SOLVENTS.items()}


def reference(system):
    for k, force in enumerate(system.getForces()):
        force.setForceGroup(k)
    return mm.Context(system, mm.VerletIntegrator(0.001),
                      mm.Platform.getPlatformByName("Reference"))


TERMS = {"HarmonicBondForce": "bonds", "HarmonicAngleForce": "angles",
         "PeriodicTorsionForce": "torsions", "NonbondedForce": "nonbonded",
         "CustomGBForce": "solvent", "GBSAOBCForce": "solvent"}


def evaluate(context, x):
    context.setPositions(x)
    system = context.getSystem()
    terms = {}
    for k, force in enumerate(system.getForces()):
        state = context.getState(getEnergy=True, groups={k})
        terms[TERMS[force.getName()]] = state.getPotentialEnergy()._value
    state = context.getState(getEnergy=True, getForces=True)
    forces = state.getForces(asNumpy=True)._value
    return state.getPotentialEnergy()._value, terms, forces


def trajectory(system, x, temperature, frames, stride, seed):
    integrator = mm.LangevinMiddleIntegrator(temperature, 2, 0.0005)
    integrator.setRandomNumberSeed(seed)
    context = mm.Context(system, integrator, mm.Platform.getPlatformByName("CPU"),
                         {"Threads": "1"})
    context.setPositions(x)
    context.setVelocitiesToTemperature(temperature, seed)
    integrator.step(2000)
    out = []
    for _ in range(frames):
        integrator.step(stride)
        out.append(context.getState(getPositions=True).getPositions(asNumpy=True)._value)
    return np.array(out)


def rounded(array, digits):
    return [float(f"{v:.{digits}g}") for v in np.asarray(array).reshape(-1)]


def oracle(name, prmtop_path, x0):
    by_solvent = systems(prmtop_path)
    moving = np.concatenate([
        [x0],
        trajectory(by_solvent["none"], x0, 300, 1, 500, 7),
        trajectory(by_solvent["none"], x0, 1000, 1, 500, 8),
    ])
    # Six decimals of a nanometre: what is evaluated is what is written.
    moving = np.round(moving - moving.mean(1, keepdims=True), 6)
    contexts = {s: reference(system) for s, system in by_solvent.items()}
    frames = []
    for label, x in zip(["minimum", "300 K", "1000 K"], moving):
        frame = {"label": label, "positions": [float(f"{v:.6f}") for v in x.reshape(-1)]}
        for solvent, context in contexts.items():
            energy, terms, forces = evaluate(context, x)
            frame[solvent] = {"energy": energy, "terms": terms, "forces": rounded(forces, 10)}
        frames.append(frame)
    return {
        "source": f"{VERSIONS}; Reference platform (float64), AMBER prmtop, NoCutoff, "
                  "no constraints, solvent dielectric 78.5, surface term on",
        "force_field": MOLECULES[name][0], "residues": MOLECULES[name][1],
        "units": "kJ/mol, nm, kJ/mol/nm", "frames": frames,
    }


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)
    print(f"{os.path.relpath(path, ROOT)}: {len(text)} bytes")


def make_oracles(names):
    for name in names:
        topology, system, centres = build(name)
        x, energy, _ = best_fold(system, centres, 24)
        print(name, system.getNumParticles(), "atoms,", f"{energy:.3f} kJ/mol in vacuum")
        made = structure(topology, system, x)
        prmtop = os.path.join(DATA, f"{name}.prmtop")
        write(prmtop, prmtop_text(made))
        write(os.path.join(DATA, f"{name}.inpcrd"), inpcrd_text(name, x))
        if name in ("aldp", "disulphide"):
            obc2 = systems(prmtop)["obc2"]
            write(os.path.join(DATA, f"{name}.system.xml"), mm.XmlSerializer.serialize(obc2))
        text = json.dumps(oracle(name, prmtop, x), separators=(",", ":"))
        write(os.path.join(DATA, f"{name}.oracle.json"), text.replace('{"label"', '\n{"label"') + "\n")


def make_presets():
    topology, system, centres = build("aldp")
    x, energy, _ = best_fold(system, centres, 24)
    prmtop = prmtop_text(structure(topology, system, x))
    text = (
        "/**\n"
        " * Alanine dipeptide (ACE-ALA-NME), AMBER ff96, mbondi2 radii, and a minimum of its energy in\n"
        f" * vacuum ({energy:.3f} kJ/mol). Written by tools/molecules.py ({VERSIONS}).\n"
        " */\n"
        "export const prmtop = `" + prmtop + "`;\n\n"
        "/** AMBER coordinates, Å. */\n"
        "export const inpcrd = `" + inpcrd_text("ACE-ALA-NME", x) + "`;\n")
    write(os.path.join(ROOT, "src", "systems", "molecule", "presets", "aldp.ts"), text)


if __name__ == "__main__":
    what = sys.argv[1] if len(sys.argv) > 1 else ""
    if what == "presets":
        make_presets()
    elif what == "oracles":
        make_oracles(sys.argv[2:] or ["aldp", "disulphide", "tetrapeptide", "dinucleotide"])
    else:
        raise SystemExit("usage: molecules.py presets | oracles [name ...]")
