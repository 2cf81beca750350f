/** A run's folder: what is read back is what was trained, whatever order fields were set in. */
import assert from "node:assert/strict";
import { loadConfig } from "../src/config/load.ts";
import { preset } from "../src/config/presets.ts";
import { canonicalJson } from "../src/io/json.ts";
import { withEstimates } from "../src/mint/families.ts";
import { files, openRun, saveTraining, writeJson } from "../src/run/directory.ts";
import { train } from "../src/run/train.ts";

Deno.test("canonicalJson() does not see the order of keys", () => {
  assert.equal(canonicalJson({ b: [1, { d: 2, c: 3 }], a: 4 }), '{"a":4,"b":[1,{"c":3,"d":2}]}');
  assert.equal(canonicalJson(preset("dw4")), canonicalJson(loadConfig("dw4")));
});

Deno.test("a library run with a preset object opens again", async () => {
  const config = preset("dw4");
  config.mint = { ...config.mint, components: 3, iterations: 2, samples: 32 };
  config.julep = { ...config.julep, iterations: 1, steps: 3, samples: 8 };
  config.julep.network.hidden = 8;
  const out = await Deno.makeTempDir();
  try {
    await train(config, { out, backend: "wasm", overwrite: true });
    const { state } = await openRun(out);
    assert.equal(state.stage, "done");
    assert.equal(state.julep!.iteration, 1);
    assert.equal(state.mintCurve.rows.length, 2);
  } finally {
    await Deno.remove(out, { recursive: true });
  }
});

Deno.test("a PvMF run keeps its estimated normalisers, and a folder older than a field opens", async () => {
  const config = preset("dw4");
  config.mint = {
    ...config.mint,
    family: "pvmf",
    pvmf: { normaliserSamples: 64, langevinSteps: 2 },
    components: 2,
    starts: 4,
    iterations: 2,
    samples: 16,
  };
  config.julep = { ...config.julep, iterations: 0, steps: 2, samples: 8 };
  config.julep.network.enabled = false;
  const out = await Deno.makeTempDir();
  try {
    await train(config, { out, backend: "reference", overwrite: true });
    const notes: string[] = [];
    const { state } = await openRun(out, (line) => notes.push(line));
    assert.match(notes.join(), /normalisers are estimates: log Z ± 0\.\d+ at most, ESS \d/);
    assert.ok(state.mint.normalisers!.error.every((error) => error > 0));
    assert.deepEqual(state.mint, withEstimates(state.mint, 64));
    const { gaussian: _, allowLabelled: __, ...older } = config.mint;
    const before = { ...config, mint: older } as typeof config;
    await writeJson(files.config(out), before);
    await saveTraining(out, before, state);
    assert.deepEqual((await openRun(out)).state.mint, state.mint);
    // A field both know is still held against the checkpoint.
    await writeJson(files.config(out), { ...before, seed: before.seed + 1 });
    await assert.rejects(openRun(out), /is not the configuration/);
  } finally {
    await Deno.remove(out, { recursive: true });
  }
});
