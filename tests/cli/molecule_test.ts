/** `inspect`, `energy`, and trajectories from `sample`. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { decodeDcd } from "../../src/io/dcd.ts";
import { encodeNpy } from "../../src/io/npy.ts";
import { decodePdb } from "../../src/io/pdb.ts";
import { readSamples } from "../../src/io/samples.ts";
import { gpuUnavailable } from "../conformance/gpu.ts";
import { Handedness } from "../../src/systems/molecule/stereo.ts";
import { forceField, frames, path, text } from "../molecule/data.ts";
import { assertRefused, inFolder, mintjulep, mintjulepHere, trainArgs } from "./command.ts";

const prmtop = path("aldp.prmtop");

Deno.test("inspect says what is in a file, and the energy by term of its coordinates", async () => {
  const arguments_ = ["inspect", prmtop, "--coordinates", path("aldp.inpcrd")];
  const { code, stdout, stderr } = await mintjulep(...arguments_);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^format +AMBER prmtop$/m);
  assert.match(stdout, /^atoms +22$/m);
  assert.match(stdout, /^residues +ACE ALA NME$/m);
  assert.match(stdout, /^charge +0$/m);
  const { vacuum, obc1 } = {
    vacuum: frames("aldp")[0].none.energy,
    obc1: frames("aldp")[0].obc1.energy,
  };
  const found = JSON.parse((await mintjulep(...arguments_, "--json")).stdout);
  // The oracle's frame is the file's, but for digits of the coordinates.
  assert.ok(Math.abs(found.energies["total in vacuum"] - vacuum) < 1e-3);
  assert.ok(Math.abs(found.energies["total with obc1"] - obc1) < 1e-3);
  const system = JSON.parse((await mintjulep("inspect", path("aldp.system.xml"), "--json")).stdout);
  const fields = ["atoms", "bonds", "angles", "torsions", "impropers", "excludedPairs", "charge"];
  for (const field of fields) assert.equal(system[field], found[field], field);
  assert.equal(found.impropers, 4); // N of both amides, C of both
  assert.deepEqual(found.structure, {
    backbone: { "ALA 2": { phi: [5, 7, 9, 15], psi: [7, 9, 15, 17] } },
    stereocentres: ["CA 9"],
    root: "CA 9",
    symmetricRotors: ["CB 11 (3 ends)", "CH3 2 (3 ends)", "CH3 19 (3 ends)"],
    softTorsions: ["CA 9 - N 7", "CA 9 - C 15"],
  });
  assert.deepEqual(system.structure.stereocentres, ["C9 9"]);
  assert.equal(system.structure.softTorsions, undefined); // no coordinates
});

Deno.test("inspect reads a system in pieces, of which training is refused", async () => {
  await inFolder(async (dir) => {
    const file = join(dir, "pieces.xml");
    const bond = /<Bond d="[^"]*" k="[^"]*" p1="6" p2="7"\/>/; // N-H
    await Deno.writeTextFile(file, text("aldp.system.xml").replace(bond, ""));
    const { code, stdout, stderr } = await mintjulep("inspect", file, "--json");
    assert.equal(code, 0, stderr);
    assert.equal(JSON.parse(stdout).structure, undefined);
    const args = ["--coordinates", path("aldp.inpcrd"), "--out", join(dir, "r")];
    assertRefused(
      await mintjulepHere("train", file, ...args),
      /the molecule is in pieces: no bonds lead/,
    );
  });
});

Deno.test("energy evaluates a batch: energies, terms and forces, float64 or float32", async () => {
  await inFolder(async (dir) => {
    const known = frames("aldp");
    const positions = Float64Array.from(known.flatMap(({ positions }) => positions));
    const npy = join(dir, "x.npy");
    await Deno.writeFile(npy, new Blob(encodeNpy(positions, [3, 22, 3])).stream());
    const cases = [["reference", 1e-6], ["wasm", 1e-4], ["webgpu", 1e-4]] as const;
    for (const [backend, tolerance] of cases) {
      if (backend === "webgpu" && gpuUnavailable) continue;
      const { code, stdout, stderr } = await mintjulep(
        ...["energy", prmtop, "--coordinates", npy, "--solvent", "obc1", "--forces", "--json"],
        ...["--backend", backend],
      );
      assert.equal(code, 0, stderr);
      const found = JSON.parse(stdout);
      assert.equal(found.count, 3);
      known.forEach(({ obc1 }, s) => {
        assert.ok(Math.abs(found.energies[s] / obc1.energy - 1) < tolerance, `${backend} ${s}`);
        assert.ok(Math.abs(found.terms.angles[s] / obc1.terms.angles - 1) < tolerance);
        const forces = found.forces[s].flat();
        const error = Math.hypot(...obc1.forces.map((f, a) => forces[a] - f));
        assert.ok(error < tolerance * Math.hypot(...obc1.forces), `${backend}, frame ${s}`);
      });
    }
    const table = await mintjulep("energy", "aldp", "--coordinates", npy);
    assert.equal(table.stdout.trimEnd().split("\n").length, 4);
    assert.match(table.stdout, new RegExp(`\\n1 +${known[1].obc1.energy.toFixed(3).slice(0, -1)}`));
  });
});

Deno.test("molecules and coordinates that cannot be read are refused in one line", async () => {
  await inFolder(async (dir) => {
    const garbage = join(dir, "garbage");
    Deno.writeTextFileSync(garbage, "hello\n".repeat(1000));
    const pdb = join(dir, "x.pdb");
    Deno.writeTextFileSync(pdb, "ATOM      1  CX\n");
    const other = path("disulphide.inpcrd");
    const cases: [string[], RegExp][] = [
      [["inspect"], /inspect needs FILE/],
      [["inspect", join(dir, "none")], /cannot read .*none: no such file/],
      [["inspect", dir], /cannot read .*: it is a folder/],
      [["inspect", garbage], /garbage: line 1: this is no AMBER parameter file/],
      [["energy", prmtop], /energy needs --coordinates/],
      [["energy", prmtop, "--coordinates", garbage], /garbage: line 2: expected the number/],
      [["energy", prmtop, "--coordinates", other], /line 2: coordinates of 44 atoms, .* has 22/],
      [["energy", prmtop, "--coordinates", pdb], /x\.pdb: line 1: "" is not a coordinate/],
      [
        ["train", "aldp", "--out", join(dir, "r"), "--solvent", "none"],
        /--solvent goes with --coord/,
      ],
      [["train", prmtop, "--out", join(dir, "r"), "--coordinates", other], /44 atoms, .* has 22/],
      [
        ["train", prmtop, "--out", join(dir, "r"), "--coordinates", other, "--temperature", "-3"],
        /--temperature must be a number of kelvin above 0, got -3/,
      ],
      [
        ["train", "aldp", "--out", join(dir, "r"), "--chirality", "left"],
        /--chirality must be keep, both, fold, got left/,
      ],
      [
        ["train", "dw4", "--out", join(dir, "r"), "--chirality", "keep"],
        /--chirality is for molecules, dw4 is none/,
      ],
      [
        ["train", "dw4", "--out", join(dir, "r"), "--soft-core", "beutler"],
        /--soft-core is for molecules, dw4 is none/,
      ],
      [
        ["train", "aldp", "--out", join(dir, "r"), "--soft-core", "hard"],
        /--soft-core.*"none", "shifted", and "beutler"/,
      ],
      [
        ["train", "aldp", "--out", join(dir, "r"), "--phi", "1,2,3"],
        /--phi must be four different atoms counted from 1, as in 5,7,9,15, got "1,2,3"/,
      ],
      [
        ["train", "aldp", "--out", join(dir, "r"), "--phi", "1,2,3,23", "--psi", "1,2,3,4"],
        /molecule\.phi must be four different atoms, each from 1 to 22, got 1,2,3,23/,
      ],
      [
        ["train", "aldp", "--out", join(dir, "r"), "--phi", "1,2,3,4"],
        /molecule\.psi is missing: give the atoms of both phi and psi, or of none/,
      ],
      [["energy", "aldp", "--solvent", "water"], /--solvent.*none.*obc1.*obc2/],
    ];
    for (const [args, pattern] of cases) assertRefused(await mintjulepHere(...args), pattern);
  });
});

Deno.test("sample writes trajectories, and equally weighted samples on request", async () => {
  await inFolder(async (dir) => {
    const run = join(dir, "run");
    assert.equal((await mintjulep(...trainArgs(run), "--workers", "1")).code, 0);
    const sample = async (out: string, ...more: string[]) => {
      const args = ["sample", run, "--samples", "40", "--workers", "1", "--out", join(dir, out)];
      const outcome = await mintjulep(...args, ...more);
      assert.equal(outcome.code, 0, outcome.stderr);
      return outcome.stdout;
    };
    await sample("x.dcd");
    const trajectory = decodeDcd(Deno.readFileSync(join(dir, "x.dcd")), "x.dcd");
    assert.deepEqual([trajectory.count, trajectory.atoms], [40, 4]);
    assert.equal(decodePdb(Deno.readTextFileSync(join(dir, "x.dcd.pdb")), "x").count, 1);
    Deno.statSync(join(dir, "x.dcd.log_weights.npy"));
    await sample("x.npz");
    const weighted = await readSamples(join(dir, "x.npz"));
    assert.match(await sample("y.npz", "--resample", "10"), /resampled\.written +10/);
    const drawn = await readSamples(join(dir, "y.npz"));
    assert.deepEqual(drawn.shape, [10, 4, 2]);
    assert.deepEqual([...drawn.logWeights], new Array(10).fill(0));
    // Each is one of the weighted samples, drawn by systematic resampling: the expected number of
    // copies of sample i is 10 w_i, the actual one is that rounded up or down.
    const peak = Math.max(...weighted.logWeights);
    const total = weighted.logWeights.reduce((sum, w) => sum + Math.exp(w - peak), 0);
    weighted.energies.forEach((energy, i) => {
      const copies = drawn.energies.filter((e) => e === energy).length;
      const expected = 10 * Math.exp(weighted.logWeights[i] - peak) / total;
      assert.ok(copies >= Math.floor(expected) && copies <= Math.ceil(expected), `sample ${i}`);
    });
    assert.equal(drawn.energies.filter((e) => weighted.energies.includes(e)).length, 10);
  });
});

Deno.test("a molecule's names reach the files: what is written as .pdb is read for it", async () => {
  const { writeTrajectory } = await import("../../src/io/trajectory.ts");
  const { elementSymbol } = await import("../../src/systems/molecule/elements.ts");
  await inFolder(async (dir) => {
    const out = join(dir, "x.pdb");
    const { atoms } = forceField("aldp");
    await writeTrajectory(out, {
      atoms: { ...atoms, symbols: atoms.elements.map(elementSymbol) },
      positions: Float32Array.from(frames("aldp")[1].positions),
      dimension: 3,
      count: 1,
      logWeights: null,
      definition: "aldp",
    });
    const { code, stdout, stderr } = await mintjulep(
      ...["energy", prmtop, "--coordinates", out, "--json"],
    );
    assert.equal(code, 0, stderr);
    // A PDB holds 1e-3 Å: half a kJ/mol of a stiff bond.
    const energy = JSON.parse(stdout).energies[0];
    assert.ok(Math.abs(energy - frames("aldp")[1].none.energy) < 1, `${energy}`);
  });
});

Deno.test("train, sample and evaluate alanine dipeptide from nothing but the program", async () => {
  await inFolder(async (dir) => {
    const run = join(dir, "run");
    const settings = ["starts=4", "cells=4", "subcells=4", "levels=2"]
      .flatMap((setting) => ["--set", `internal.${setting}`]);
    const train = await mintjulep("train", "aldp", "--out", run, ...settings, "--workers", "1");
    assert.equal(train.code, 0, train.stderr);
    assert.match(train.stderr, /internal coordinates from atom 9 \(CA\), 3 symmetric rotors/);
    const out = join(dir, "x.npz");
    const common = ["--samples", "40", "--workers", "1"];
    const sample = await mintjulep("sample", run, ...common, "--out", out);
    assert.equal(sample.code, 0, sample.stderr);
    const drawn = await readSamples(out);
    assert.deepEqual(drawn.shape, [40, 22, 3]);
    assert.ok(drawn.logWeights.filter(Number.isFinite).length > 30);
    // The energies that come with the samples are those of `energy` over kT.
    const batch = await mintjulep("energy", "aldp", "--coordinates", out, "--json");
    const kT = 0.00831446261815324 * 300;
    JSON.parse(batch.stdout).energies.forEach((energy: number, s: number) =>
      assert.ok(Math.abs(energy / kT - drawn.energies[s]) < 1e-2)
    );
    const evaluate = await mintjulep("evaluate", run, ...common, "--seeds", "1", "--json");
    assert.equal(evaluate.code, 0, evaluate.stderr);
    const report = JSON.parse(evaluate.stdout);
    assert.equal(report.method, "internal");
    assert.ok(Math.abs(report.logZ + 174.3) < 1.5, `${report.logZ}`);
    assert.ok(report.prior.ess > 0.05);
    assert.equal(report.molecule.chirality.mode, "keep");
    assert.deepEqual(report.molecule.chirality.stereocentres, ["CA 9"]);
    assert.deepEqual(report.molecule.ramachandran["ALA 2"].phi, [5, 7, 9, 15]);
    const { minima, prior, stepSize } = report.trainEvaluationsOf;
    assert.equal(minima + prior + stepSize, report.trainEvaluations);
    assert.ok(report.trainStageSeconds["Torsion grid"] > 0 && report.stageSeconds.Sampling > 0);

    // The data-free buffer: own samples moved on by HMC, and paths backward from them.
    const buffered = JSON.parse(
      (await mintjulep("evaluate", run, ...common, "--seeds", "1", "--buffer", "--json")).stdout,
    );
    assert.equal(buffered.buffer, true);
    assert.equal(buffered.referenceSamples, 40);
    assert.ok(Math.abs(buffered.logZBothEnds + 174.3) < 1.5, `${buffered.logZBothEnds}`);
    assert.ok(buffered.essFromReference > 0.02 && buffered.eubo > buffered.elbo);
    assert.equal(buffered.molecule.ramachandran["ALA 2"].reference, undefined);

    // Target samples come as trajectories too (here the run's own).
    const trajectory = join(dir, "x.dcd");
    await mintjulep("sample", run, ...common, "--resample", "12", "--out", trajectory);
    const judged = await mintjulep(
      ...["evaluate", run, ...common, "--seeds", "1", "--reference", trajectory, "--json"],
    );
    assert.equal(judged.code, 0, judged.stderr);
    const { referenceSamples, molecule } = JSON.parse(judged.stdout);
    assert.equal(referenceSamples, 12);
    const { kl, klFloor, samples } = molecule.ramachandran["ALA 2"].reference;
    assert.equal(samples, 12);
    assert.ok(kl > 0 && klFloor.mean > 0);

    // The same draws under another convention: log Z and handedness.
    const handedness = new Handedness(forceField("aldp"), frames("aldp")[0].positions);
    const under = async (chirality: string) => {
      const { code, stderr } = await mintjulep(
        ...["sample", run, ...common, "--out", out, "--chirality", chirality],
      );
      assert.equal(code, 0, stderr);
      const found = await readSamples(out);
      const shift = found.logWeights[0] - drawn.logWeights[0];
      const signs = Array.from({ length: 40 }, (_, s) => handedness.of(found.positions, 66 * s));
      return { shift, mirrored: signs.filter((h) => h === -1).length };
    };
    assert.deepEqual(await under("keep"), { shift: 0, mirrored: 0 });
    const fold = await under("fold"), both = await under("both");
    assert.equal(fold.mirrored, 0);
    // Between 8 and 32 of 40 tosses of a coin: a false alarm in 1e4 seeds.
    assert.ok(both.mirrored >= 8 && both.mirrored <= 32, `${both.mirrored}`);
    for (const { shift } of [fold, both]) assert.ok(Math.abs(shift - Math.log(2)) < 1e-3);
  });
});

Deno.test("chains of a molecule start from its minima, of the given handedness", async () => {
  await inFolder(async (dir) => {
    const settings = ["chains=4", "warmup=20", "thin=1"]
      .flatMap((setting) => ["--set", `chains.${setting}`]);
    const out = join(dir, "run");
    const { code, stdout, stderr } = await mintjulep(
      ...["train", "aldp", "--method", "mcmc", "--out", out, "--workers", "1", ...settings],
    );
    assert.equal(code, 0, stderr);
    assert.match(stdout, /chirality\.mirrored +0$/m);
    const energy = Number(/^meanEnergy +(\S+)$/m.exec(stdout)![1]);
    // A knot of atoms is tens of kT higher than the -39.4 of equilibrium.
    assert.ok(energy < -30, `${energy}`);
  });
});

Deno.test("train takes a molecule from its own files, which are not needed again", async () => {
  await inFolder(async (dir) => {
    const run = join(dir, "run");
    const own = join(dir, "own.prmtop");
    await Deno.copyFile(prmtop, own);
    const settings = ["starts=4", "prior=laplace", "levels=1"]
      .flatMap((setting) => ["--set", `internal.${setting}`]);
    const train = await mintjulep(
      ...["train", own, "--coordinates", path("aldp.inpcrd"), "--solvent", "obc2"],
      ...["--temperature", "310", "--out", run, "--workers", "1", ...settings],
    );
    assert.equal(train.code, 0, train.stderr);
    assert.match(train.stdout, /T=310 K, solvent=obc2/);
    await Deno.remove(own);
    const out = join(dir, "x.pdb");
    const sample = await mintjulep(
      ...["sample", run, "--samples", "8", "--out", out, "--workers", "1"],
    );
    assert.equal(sample.code, 0, sample.stderr);
    assert.equal(decodePdb(Deno.readTextFileSync(out), out).count, 8);
  });
});

Deno.test("a mixture of minima is refined on request, and says what it was judged by", async () => {
  await inFolder(async (dir) => {
    const run = join(dir, "run");
    const refine = '{"rounds":1,"samples":200,"buffer":100,"defensive":0.2,"strength":100}';
    const train = (...settings: string[]) =>
      mintjulep(
        ...["train", "aldp", "--overwrite", "--out", run, "--workers", "1"],
        ...["starts=4", "levels=4", ...settings].flatMap((s) => ["--set", `internal.${s}`]),
      );
    const done = await train("prior=laplace", `refine=${refine}`);
    assert.equal(done.code, 0, done.stderr);
    assert.match(
      done.stderr,
      /refinement 1: ESS \S+ % to \S+ %, from a buffer \S+ % to \S+ %, log q .* (not )?kept/,
    );
    assert.match(done.stdout, /^trainEvaluationsOf\.refinement +\d+$/m);
    const refused = await train("prior=torsion_grid", `refine=${refine}`);
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /^mintjulep: internal\.refine is for a mixture of minima/m);
  });
});
