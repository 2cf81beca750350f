/**
 * Batched energies and forces of alanine dipeptide on one core: the kernel through its host (float64
 * positions in, kJ/mol out) against plain TypeScript in float64, and against OpenMM called in a loop
 * as its Python interface allows, one conformation at a time (Reference and CPU platform on one
 * thread, processor time of its process; bar with OBC1: >= 20 and >= 5). OpenMM's OBC1 is a
 * CustomGBForce, its OBC2 the hand-written GBSAOBCForce.
 */
import { moleculeEnergies } from "../src/backends/reference/molecule_energies.ts";
import { loadKernels } from "../src/backends/wasm/module.ts";
import { MoleculeKernel } from "../src/backends/wasm/molecule_energies.ts";
import type { Solvent } from "../src/config/force_field.ts";
import { encodeNpy } from "../src/io/npy.ts";
import { RandomStream, Stream } from "../src/math/random.ts";
import { MoleculeEnergy, TERMS } from "../src/systems/molecule/energy.ts";
import { aldp } from "../src/systems/molecule/presets.ts";
import { prmtop } from "../src/systems/molecule/presets/aldp.ts";
import { type BenchReport, createReport } from "./harness.ts";
import { TextLineStream } from "./text_lines.ts";

const COUNT = 512;
const PASSES = 3;

/** The shipped minimum, shaken: stiff terms at a few kT each. */
function conformations(positions: Float64Array): Float64Array {
  const random = new RandomStream(1, Stream.test, 0);
  return Float64Array.from(
    { length: COUNT * positions.length },
    (_, at) => positions[at % positions.length] + 0.004 * random.normal(),
  );
}

export async function run(report: BenchReport): Promise<void> {
  const { forceField, positions } = aldp();
  const x = conformations(positions);
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/aldp.prmtop`, prmtop);
    const shape = [COUNT, positions.length / 3, 3];
    await Deno.writeFile(`${folder}/x.npy`, new Blob(encodeNpy(x, shape)).stream());
    for (const solvent of ["obc1", "obc2", "none"] as const) {
      const kernel = new MoleculeKernel(await loadKernels(), forceField, solvent);
      const plain = new MoleculeEnergy(forceField, solvent);
      const { terms } = kernel.energies(x, COUNT);
      const some = x.subarray(0, 64 * positions.length);
      const result = report.compare(`aldp, solvent ${solvent}, energies and forces`, {
        "wasm": () => void kernel.energies(some, 64),
        "TypeScript float64": () => void moleculeEnergies(plain, some, 64),
      }, { unit: "conformations/s", work: 64 });
      await againstOpenMM(report, folder, solvent, result.rates.wasm, total(terms));
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function total(terms: Float64Array): number {
  if (terms.length !== COUNT * TERMS.length) throw new Error("wrong number of terms");
  return terms.reduce((sum, v) => sum + v, 0);
}

async function againstOpenMM(
  report: BenchReport,
  folder: string,
  solvent: Solvent,
  rate: number,
  energy: number,
): Promise<void> {
  const script = new URL("peers/openmm_loop.py", import.meta.url).pathname;
  let process: Deno.ChildProcess;
  try {
    process = new Deno.Command("python3", {
      args: [
        ...[script, "--prmtop", `${folder}/aldp.prmtop`, "--positions", `${folder}/x.npy`],
        ...["--solvent", solvent, "--threads", "1"],
      ],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  } catch (error) {
    return report(`  no OpenMM here: ${(error as Error).message}`);
  }
  const complaint = new Response(process.stderr).text();
  const lines = process.stdout.pipeThrough(new TextDecoderStream())
    .pipeThrough(new TextLineStream()).getReader();
  const input = process.stdin.getWriter();
  const first = await lines.read();
  if (first.value === undefined) {
    await input.close();
    await process.status;
    return report(`  no OpenMM here: ${(await complaint).trim().split("\n").at(-1)}`);
  }
  const { version } = JSON.parse(first.value);
  for (const platform of ["Reference", "CPU"]) {
    const seconds: number[] = [];
    for (let pass = 0; pass < PASSES; pass++) {
      await input.write(new TextEncoder().encode(`${platform}\n`));
      const answer = JSON.parse((await lines.read()).value!);
      seconds.push(answer.cpuSeconds);
      if (!(Math.abs(answer.energy - energy) <= 1e-5 * Math.abs(energy) + 0.01 * COUNT)) {
        throw new Error(`${platform}: OpenMM computed ${answer.energy}, the kernel ${energy}`);
      }
    }
    const peer = COUNT / seconds.toSorted((a, b) => a - b)[PASSES >> 1];
    report(
      `  ${(rate / peer).toFixed(1)} x OpenMM ${version} ${platform} in a loop ` +
        `(${peer.toFixed(0)} conformations/s)`,
    );
  }
  await input.close();
  await process.status;
}

if (import.meta.main) await run(createReport());
