/** What goes wrong on a device becomes an error that names the kernel and its shapes. */
import assert from "node:assert/strict";
import { InputError } from "../../src/errors.ts";
import { selectBackend } from "../../src/backends/select.ts";
import { GpuDevice } from "../../src/backends/webgpu/device.ts";
import { DeviceLostError, GpuError } from "../../src/backends/webgpu/errors.ts";
import { GpuKernels } from "../../src/backends/webgpu/kernels.ts";
import { preset } from "../../src/config/presets.ts";
import { createSystem } from "../../src/systems/create.ts";
import { WebGpuExecutor } from "../../src/backends/webgpu/executor.ts";
import { clusterPath } from "../../src/path/cluster.ts";
import { lennardJones, scattered } from "../path/helpers.ts";
import { gpuTest } from "../conformance/gpu.ts";

const system = createSystem(preset("dw4").system);
const positions = Float32Array.from({ length: 80 }, (_, i) => Math.sin(i * i));

gpuTest("a shader that does not compile is named with line and text", async () => {
  const device = await GpuDevice.open({ mutate: (_, code) => code.replace("let xi", "lte xi") });
  await assert.rejects(
    new GpuKernels(device).pairEnergies(system, positions, 10, 1),
    (error: Error) =>
      error instanceof GpuError && /pair_energies\.wgsl:\d+:\d+/.test(error.message) &&
      error.message.includes("lte xi"),
  );
  device.destroy();
});

gpuTest("a validation error names kernel and shapes, and the device works on", async () => {
  const device = await GpuDevice.open();
  const kernels = new GpuKernels(device);
  const good = await kernels.pairEnergies(system, positions, 10, 1);
  const kernel = await device.kernel("threefry", "const W: u32 = 64u;", "buffer");
  const buffers = [device.buffer("words", 16), device.buffer("numbers", 16)];
  const dispatch = { kernel, job: new ArrayBuffer(24), buffers, groups: 70000 };
  await assert.rejects(
    device.run("threefry of too many groups", [dispatch], []),
    (error: Error) => error instanceof GpuError && /^threefry of too many/.test(error.message),
  );
  assert.deepEqual(await kernels.pairEnergies(system, positions, 10, 1), good);
  device.destroy();
});

gpuTest("a lost device is a DeviceLostError that names the work", async () => {
  const device = await GpuDevice.open();
  const kernels = new GpuKernels(device);
  await kernels.pairEnergies(system, positions, 10, 1);
  device.destroy();
  await assert.rejects(
    kernels.pairEnergies(system, positions, 10, 1),
    (error: Error) => error instanceof DeviceLostError && /lost/.test(error.message),
  );
});

gpuTest("scratch beyond the limits is taken in several dispatches", async () => {
  const device = await GpuDevice.open({ defaultLimits: true });
  const kernels = new GpuKernels(device);
  // 70 particles need no less; 70000 systems are more than one dispatch may have.
  const whole = await kernels.pairEnergies(system, positions, 10, 1);
  const many = new Float32Array(70000 * 8);
  for (let s = 0; s < 70000; s++) {
    many.set(positions.subarray(0, 80).subarray(s % 10 * 8, s % 10 * 8 + 8), 8 * s);
  }
  const all = await kernels.pairEnergies(system, many, 70000, 1);
  for (const s of [0, 65535, 69999]) assert.equal(all.values[s], whole.values[s % 10]);
  device.destroy();
});

Deno.test("what the webgpu backend cannot do is refused by name before anything starts", async () => {
  const refused = async (asked: Parameters<typeof selectBackend>[1], words: RegExp) => {
    await assert.rejects(
      selectBackend("webgpu", asked),
      (error: Error) => error instanceof InputError && words.test(error.message),
    );
    assert.equal((await selectBackend("auto", asked)).backend, "wasm");
  };
  await refused({ molecule: true }, /webgpu.*molecules.*--backend wasm/);
});

Deno.test("auto leaves paths and chains to the cores, whatever GPU there is", async () => {
  assert.deepEqual(await selectBackend("auto", { withoutNetwork: true }), { backend: "wasm" });
});

gpuTest("--backend webgpu takes paths and chains", async () => {
  assert.equal((await selectBackend("webgpu", { withoutNetwork: true })).backend, "webgpu");
});

gpuTest(
  "a device lost before paths, chains or an island is opened again, with the same result",
  async () => {
    const system = lennardJones(13);
    const path = clusterPath(system, { kernel: "underdamped", levels: 6 });
    const executor = await WebGpuExecutor.create({ recover: true });
    const warn = console.warn;
    const said: string[] = [];
    console.warn = (line: string) => said.push(line);
    try {
      const job = { seed: 3, first: 0, count: 8, direction: "forward" as const };
      const chains = {
        ...{ seed: 3, first: 0, count: 4, positions: scattered(13, 3, 4, 12, 1.1, 0.03) },
        ...{ leapfrogs: 2, stepSize: 0.02, targetAcceptance: 0.8, warmup: 2, draws: 2, thin: 1 },
      };
      await executor.prepare({ system, mint: null, julep: null, path });
      const results = async () => [
        (await executor.paths(job)).logWeights,
        (await executor.chains(chains)).positions,
        (await executor.island({ seed: 3, island: 0, population: 16, threshold: 0.9 })).logWeights,
      ];
      const before = await results();
      executor.device.destroy();
      assert.deepEqual(await results(), before);
      assert.equal(said.length, 1);
      assert.match(
        said[0],
        /^path .* 6 levels, N = 13: the GPU device was lost .*opening it again$/,
      );
    } finally {
      console.warn = warn;
      executor.dispose();
    }
  },
);
