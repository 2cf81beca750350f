/** assembly/target_energy.ts against the systems' own float64 energies, bit for bit. */
import assert from "node:assert/strict";
import { LANES } from "../../src/backends/backend.ts";
import { toBlocks } from "../../src/backends/wasm/julep.ts";
import { createSystem } from "../../src/systems/create.ts";
import { lennardJones, scattered } from "../path/helpers.ts";
import { eachVariant } from "./variants.ts";

for (const N of [2, 13, 55]) {
  for (const oscillator of [0, 0.7]) {
    eachVariant(`lj${N}, oscillator ${oscillator}: target energies, bit for bit`, (kernels) => {
      const { exports, memory } = kernels;
      const system = createSystem({ ...lennardJones(N), epsilon: 1.3, oscillator });
      const count = 3 * LANES;
      const size = 3 * N;
      const positions = Float32Array.from(scattered(N, 3, count, 4, 1.1, 0.2));
      // Two particles in one place: infinite, as there.
      positions.copyWithin(size + 3, size, size + 3);
      const mark = memory.mark();
      const x = memory.alloc(4 * count * size);
      const energies = memory.alloc(8 * count);
      const scratch = memory.alloc(16 * size);
      toBlocks(positions, count, size, memory.f32(x, count * size));
      exports.lennardJonesTargets(x, energies, N, 1.3, oscillator, count / LANES, scratch);
      const exact = Float64Array.from(
        { length: count },
        (_, s) => system.energy(Float64Array.from(positions.subarray(s * size, (s + 1) * size))),
      );
      assert.ok(!(exact[1] < 1e30), "the test wants a collision");
      assert.ok(new Set(exact).size === count, "the test wants different energies");
      assert.deepEqual(memory.f64(energies, count).slice(), exact);
      memory.release(mark);
    });
  }
}
