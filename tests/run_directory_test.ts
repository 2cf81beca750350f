/** A run's folder: what is read back is what was trained, whatever order fields were set in. */
import assert from "node:assert/strict";
import { loadConfig } from "../src/config/load.ts";
import { preset } from "../src/config/presets.ts";
import { canonicalJson } from "../src/io/json.ts";
import { openRun } from "../src/run/directory.ts";
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
