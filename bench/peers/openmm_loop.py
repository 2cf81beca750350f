"""OpenMM called in a loop, one conformation at a time: energies and forces per second.

Used by bench/molecule.ts; needs `pip install openmm` (and numpy). Protocol: it reads a prmtop, an OBC
model and conformations (.npy, float64, nm) named on the command line, prints one JSON line about
itself, then answers every line on standard input (the name of a platform) with one JSON line:
CPU seconds of all its threads for one pass over the conformations, and the energies' sum.
"""
import argparse
import json
import sys
import time

import numpy as np
import openmm as mm
import openmm.app as app


def contexts(prmtop, solvent, threads):
    models = {"none": None, "obc1": app.OBC1, "obc2": app.OBC2}
    system = app.AmberPrmtopFile(prmtop).createSystem(
        nonbondedMethod=app.NoCutoff, constraints=None, implicitSolvent=models[solvent],
        soluteDielectric=1.0, solventDielectric=78.5, removeCMMotion=False)
    properties = {"Reference": {}, "CPU": {"Threads": str(threads)}}
    return {name: mm.Context(system, mm.VerletIntegrator(0.001),
                             mm.Platform.getPlatformByName(name), properties[name])
            for name in properties}


def one_pass(context, positions):
    total = 0.0
    for x in positions:
        context.setPositions(x)
        state = context.getState(getEnergy=True, getForces=True)
        total += state.getPotentialEnergy()._value
        state.getForces(asNumpy=True)
    return total


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--prmtop", required=True)
    parser.add_argument("--solvent", default="obc1")
    parser.add_argument("--positions", required=True)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    positions = np.load(options.positions).astype(np.float64)
    made = contexts(options.prmtop, options.solvent, options.threads)
    for context in made.values():
        one_pass(context, positions[:100])
    print(json.dumps({"framework": "OpenMM", "version": mm.__version__,
                      "platforms": list(made)}), flush=True)
    for line in sys.stdin:
        context = made[line.strip()]
        wall, cpu = time.perf_counter(), time.process_time()
        total = one_pass(context, positions)
        print(json.dumps({"seconds": time.perf_counter() - wall,
                          "cpuSeconds": time.process_time() - cpu, "energy": total}), flush=True)


main()
