/** What a run does when its GPU fails for good. */
import assert from "node:assert/strict";
import type { BackendChoice } from "../../src/backends/select.ts";
import { DeviceLostError, GpuError } from "../../src/backends/webgpu/errors.ts";
import { preset } from "../../src/config/presets.ts";
import { InputError } from "../../src/errors.ts";
import { train } from "../../src/run/train.ts";
import { survivingGpu } from "../../src/run/machine.ts";
import { silent } from "../../src/run/progress.ts";

/** As an error comes from a worker: a plain Error with the original's name. */
function fromWorker(error: Error): Error {
  return Object.assign(new Error(error.message), { name: error.name });
}

for (
  const failure of [new DeviceLostError("julep of 8 samples: lost"), new GpuError("julep: no")]
) {
  Deno.test(`auto goes on with WebAssembly after a ${failure.name}, and says so`, async () => {
    const notes: string[] = [];
    const progress = { ...silent, note: (line: string) => notes.push(line) };
    const used: BackendChoice[] = [];
    const work = (options: { backend: BackendChoice }) => {
      used.push(options.backend);
      return used.length === 1 ? Promise.reject(fromWorker(failure)) : Promise.resolve("done");
    };
    assert.equal(await survivingGpu({ backend: "auto", progress }, work), "done");
    assert.deepEqual(used, ["auto", "wasm"]);
    assert.deepEqual(notes, [`${failure.message}; going on with WebAssembly`]);
  });

  Deno.test(`--backend webgpu ends with one clear line after a ${failure.name}`, async () => {
    const work = () => Promise.reject(fromWorker(failure));
    await assert.rejects(
      survivingGpu({ backend: "webgpu" }, work, "nothing is lost: --resume"),
      (error: Error) =>
        error instanceof InputError &&
        error.message === `${failure.message}; nothing is lost: --resume`,
    );
  });
}

Deno.test("an error that is not the GPU's is passed on", async () => {
  const failure = new RangeError("no");
  await assert.rejects(
    survivingGpu({ backend: "auto" }, () => Promise.reject(failure)),
    (error) => error === failure,
  );
});

Deno.test("--backend webgpu refuses what it cannot do before it writes anything", async () => {
  const out = `${await Deno.makeTempDir()}/run`;
  await assert.rejects(
    train(preset("aldp"), { out, backend: "webgpu" }),
    (error: Error) => error instanceof InputError && /webgpu.*molecules/.test(error.message),
  );
  await assert.rejects(Deno.stat(out), Deno.errors.NotFound);
});
