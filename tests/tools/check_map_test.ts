import assert from "node:assert/strict";
import { checkMap, kernelFaults, shaderFaults, wrongImports } from "../../tools/check_map.ts";

const faults = (path: string, text: string) => wrongImports(new Map([[path, text]]));

Deno.test("the checkout keeps to the map", () => {
  assert.deepEqual(checkMap(), []);
});

Deno.test("an import of a later stage is a fault, in every form of import", () => {
  for (
    const text of [
      'import { train } from "../julep/train.ts";',
      'import type { A } from "../julep/train.ts";',
      'export * from "../julep/train.ts";',
      'import "../julep/train.ts";',
      'const m = await import("../julep/train.ts");',
      'new Worker(new URL("../julep/train.ts", import.meta.url));',
      'import {\n  a,\n  b,\n} from "../julep/train.ts";',
    ]
  ) {
    assert.deepEqual(
      faults("mint/train.ts", text),
      ["src/mint/train.ts imports src/julep/train.ts: mint may not import julep"],
      text,
    );
  }
  assert.equal(faults("math/adam.ts", 'import { preset } from "../config/presets.ts";').length, 1);
});

Deno.test("an import of an earlier stage, a neighbour, a free file or a package is none", () => {
  assert.deepEqual(faults("julep/train.ts", 'import { a } from "../mint/model.ts";'), []);
  assert.deepEqual(faults("julep/train.ts", 'import { a } from "./loss.ts";'), []);
  assert.deepEqual(faults("mint/train.ts", 'import { a } from "../backends/backend.ts";'), []);
  assert.deepEqual(faults("math/adam.ts", 'import { z } from "zod";'), []);
});

Deno.test("a backend may import models but no training", () => {
  const path = "backends/wasm/executor.ts";
  assert.deepEqual(faults(path, 'import { a } from "../../mint/model.ts";'), []);
  assert.equal(faults(path, 'import { a } from "../../mint/train.ts";').length, 1);
});

Deno.test("a folder without a rule is a fault", () => {
  assert.match(faults("novel/a.ts", "")[0], /src\/novel has no rule/);
});

Deno.test("kernels without counterpart, stale exclusions and orphans are faults", () => {
  const places = { assembly: ["a", "b"], reference: ["a", "c"], conformance: ["a"] };
  assert.deepEqual(kernelFaults(places, {}), [
    "assembly/b.ts has no src/backends/reference/b.ts",
    "assembly/b.ts has no tests/conformance/b_test.ts",
    "src/backends/reference/c.ts has no assembly/c.ts",
  ]);
  const excluded = { a: { conformance: "none" }, b: { reference: "why" }, gone: {} };
  assert.deepEqual(kernelFaults({ ...places, reference: ["a"] }, excluded), [
    'tests/conformance/a_test.ts exists, yet is excluded as "none" in tools/check_map.ts',
    "assembly/b.ts has no tests/conformance/b_test.ts",
    "tools/check_map.ts excludes gone, but there is no assembly/gone.ts",
  ]);
});

Deno.test("check_map finds shaders without a kernel of their name, and stale exclusions", () => {
  assert.deepEqual(shaderFaults(["a", "b"], ["a"], { b: "why" }), []);
  assert.equal(shaderFaults(["a", "b"], ["a"], {}).length, 1);
  assert.equal(shaderFaults(["a"], ["a"], { gone: "why" }).length, 1);
});
