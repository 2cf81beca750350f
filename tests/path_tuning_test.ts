/** Factors on a path: what they change, and what they must not. */
import assert from "node:assert/strict";
import { preset } from "../src/config/presets.ts";
import type { LennardJonesConfig } from "../src/config/config.ts";
import { clusterPath } from "../src/path/cluster.ts";
import { mixturePath } from "../src/path/mixture.ts";
import { tunedPath, tuningSize } from "../src/path/tuning.ts";

const cluster = clusterPath(preset("lj13").system as LennardJonesConfig, {
  kernel: "underdamped",
  levels: 31,
});
const mixture = mixturePath({ kernel: "adjusted", levels: 20, stepSize: 0.2 });

for (const [name, path] of [["pair path", cluster], ["mixture", mixture]] as const) {
  Deno.test(`tuning: factors of 1 give the path back (${name})`, () => {
    assert.deepEqual(tunedPath(path, new Float64Array(tuningSize(path))), path);
  });

  Deno.test(`tuning: any factors leave the last level on the target (${name})`, () => {
    const tuning = Float64Array.from({ length: tuningSize(path) }, (_, i) => Math.sin(3 * i + 1));
    const { levels } = tunedPath(path, tuning);
    const last = <T extends { length: number; [k: number]: number }>(v: T) => v[v.length - 1];
    if (levels.kind === "mixture") {
      assert.equal(last(levels.times), 1);
      assert.ok(levels.times.every((t, k) => t > (k ? levels.times[k - 1] : 0)));
      return;
    }
    assert.equal(last(levels.depth), 2);
    assert.equal(last(levels.attraction), 1);
    assert.equal(last(levels.softness), 0);
    assert.equal(last(levels.confinement), 1);
    assert.ok(levels.depth.every((v) => v > 0));
  });
}

Deno.test("tuning: a knot acts where it stands", () => {
  const tuning = new Float64Array(tuningSize(cluster));
  tuning[1] = Math.log(2); // step size, a third along the way
  const { stepSize, friction } = tunedPath(cluster, tuning);
  const ratio = stepSize.map((v, k) => v / cluster.stepSize[k]);
  assert.ok(Math.abs(ratio[10] - 2) < 1e-12 && Math.abs(ratio[5] - Math.SQRT2) < 1e-12);
  assert.ok(ratio[0] === 1 && ratio[20] === 1 && ratio[30] === 1);
  assert.deepEqual(friction, cluster.friction);
});

Deno.test("tuning: another length is refused", () => {
  assert.throws(() => tunedPath(mixture, [1, 2]), /path\.tuning must have 9 numbers, got 2/);
});
