"""Energies by term and forces of this program against OpenMM's Reference platform, on many frames.

    v/bin/python tools/compare_openmm.py [--quick] [aldp disulphide ...]      (v: see molecules.py)

For each molecule of tests/data/molecules and each solvent: frames of Langevin dynamics at 300 K and
1000 K in that solvent, written as .npy, evaluated by `mintjulep energy --forces --json` with both
backends and by OpenMM. Prints the largest relative error of a term (relative to the term), of the
total (relative to the sum of the terms' magnitudes), and of the forces (norm of the difference over
the norm).
"""
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import molecules as made  # noqa: E402


def ours(prmtop, npy, solvent, backend):
    command = ["deno", "run", "-A", "-q", os.path.join(made.ROOT, "src", "mod.ts"), "energy", prmtop,
               "--coordinates", npy, "--solvent", solvent, "--forces", "--json",
               "--backend", backend]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def compare(name, solvent, temperature, frames):
    prmtop = os.path.join(made.DATA, f"{name}.prmtop")
    start = np.array(json.load(open(os.path.join(made.DATA, f"{name}.oracle.json")))
                     ["frames"][0]["positions"]).reshape(-1, 3)
    system = made.systems(prmtop)[solvent]
    x = made.trajectory(system, start, temperature, frames, 100, 3)
    # Positions that float32 holds exactly, near the origin: both backends see the same numbers.
    x = (x - x[:, :1]).astype(np.float32).astype(np.float64)
    context = made.reference(made.systems(prmtop)[solvent])
    truth = [made.evaluate(context, frame) for frame in x]
    with tempfile.TemporaryDirectory() as folder:
        npy = os.path.join(folder, "x.npy")
        np.save(npy, x)
        for backend in ("reference", "wasm"):
            got = ours(prmtop, npy, solvent, backend)
            forces = np.array(got["forces"])
            term = total = force = 0.0
            for s, (energy, terms, f) in enumerate(truth):
                for key, value in terms.items():
                    term = max(term, abs(got["terms"][key][s] - value) / abs(value))
                total = max(total, abs(got["energies"][s] - energy) /
                            sum(abs(v) for v in terms.values()))
                force = max(force, np.linalg.norm(forces[s] - f) / np.linalg.norm(f))
            print(f"{name:13} {solvent:5} {temperature:5} K {frames:5} frames  {backend:10} "
                  f"term {term:.1e}  total {total:.1e}  forces {force:.1e}", flush=True)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    quick = "--quick" in arguments
    names = [a for a in arguments if a != "--quick"]
    for name in names or ["aldp", "disulphide", "tetrapeptide", "dinucleotide"]:
        for solvent in ("none", "obc1", "obc2"):
            for temperature, frames in ((300, 1000), (1000, 200)):
                compare(name, solvent, temperature, frames // 10 if quick else frames)
