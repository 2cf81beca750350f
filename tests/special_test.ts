import assert from "node:assert/strict";
import fc from "fast-check";
import { gaussLegendre, i0e, i1e, logAddExp, logSumExp } from "../src/math/special.ts";
import { newSvd3, svd3 } from "../src/math/svd3.ts";

/** x, e^-x I0(x), e^-x I1(x): mpmath, 40 digits. */
const BESSEL = [
  [0, 1.0, 0.0],
  [1e-8, 0.999999990000000075, 4.99999995000000042e-9],
  [0.001, 0.999000749583515559, 0.000499500312354221347],
  [0.1, 0.907100925782301092, 0.0452984468088093273],
  [0.5, 0.645035270449150068, 0.156420803184871697],
  [1, 0.465759607593640437, 0.207910415349708449],
  [2.5, 0.27004644161220274, 0.206584649531266554],
  [5, 0.183540812609328353, 0.163972266944542357],
  [8, 0.143431781856850311, 0.134142493292698178],
  [12, 0.116426221213440443, 0.111464299290180976],
  [19.5, 0.0909394320951564833, 0.0885760860943148525],
  [24.99, 0.0802129850651706946, 0.0785913415808224186],
  [25.01, 0.0801805718572962459, 0.078560893891887082],
  [40, 0.0632782798752353303, 0.0624822290744420607],
  [100, 0.0399443792990966826, 0.0397441530251302527],
  [1000, 0.0126172404558912566, 0.0126109302569286295],
  [1e5, 0.00126156783797677677, 0.00126156153012181713],
];

Deno.test("i0e and i1e agree with 40-digit values to 2e-15", () => {
  for (const [x, zero, one] of BESSEL) {
    assert.ok(Math.abs(i0e(x) - zero) <= 2e-15 * zero, `i0e(${x}) = ${i0e(x)}`);
    assert.ok(Math.abs(i1e(x) - one) <= 2e-15 * one, `i1e(${x}) = ${i1e(x)}`);
    assert.equal(i0e(-x), i0e(x));
    if (x > 0) assert.equal(i1e(-x), -i1e(x));
  }
  assert.ok(Number.isNaN(i0e(NaN)));
  assert.equal(i0e(Infinity), 0);
});

Deno.test("logAddExp and logSumExp neither overflow nor lose small terms", () => {
  assert.equal(logAddExp(1000, 1000), 1000 + Math.LN2);
  assert.equal(logAddExp(-Infinity, 3), 3);
  assert.equal(logAddExp(-Infinity, -Infinity), -Infinity);
  assert.equal(logSumExp([]), -Infinity);
  assert.equal(logSumExp([-800, -800, -800, -800]), -800 + Math.log(4));
  assert.ok(Number.isNaN(logSumExp([0, NaN])));
  assert.ok(Number.isNaN(logAddExp(0, NaN)));
});

Deno.test("gaussLegendre integrates polynomials up to degree 2·count − 1", () => {
  for (const count of [1, 2, 5, 48]) {
    const { nodes, weights } = gaussLegendre(count);
    for (const degree of [0, 1, count, 2 * count - 1]) {
      let sum = 0;
      for (let i = 0; i < count; i++) sum += weights[i] * nodes[i] ** degree;
      assert.ok(Math.abs(sum - 1 / (degree + 1)) < 1e-14, `${count} nodes, degree ${degree}`);
    }
  }
});

const entry = fc.oneof(
  fc.double({ min: -10, max: 10, noNaN: true }),
  fc.constantFrom(0, 1, -1, 1e-9, 1e6),
);

Deno.test("svd3 gives orthogonal factors and the matrix back, also where it is singular", () => {
  const out = newSvd3();
  fc.assert(
    fc.property(fc.array(entry, { minLength: 9, maxLength: 9 }), (a) => {
      svd3(a, out);
      const { u, s, v } = out;
      assert.ok(s[0] >= s[1] && s[1] >= s[2] && s[2] >= 0);
      for (let i = 0; i < 3; i++) {
        for (let j = 0; j < 3; j++) {
          let [uu, vv, back] = [0, 0, 0];
          for (let k = 0; k < 3; k++) {
            uu += u[3 * k + i] * u[3 * k + j];
            vv += v[3 * k + i] * v[3 * k + j];
            back += u[3 * i + k] * s[k] * v[3 * j + k];
          }
          const one = i === j ? 1 : 0;
          assert.ok(Math.abs(uu - one) < 1e-7 && Math.abs(vv - one) < 1e-13, `${a}: ${uu} ${vv}`);
          assert.ok(Math.abs(back - a[3 * i + j]) <= 4e-15 * s[0], `${a} at ${i},${j}: ${back}`);
        }
      }
    }),
    { seed: 1, numRuns: 500 },
  );
});

Deno.test("svd3 of known matrices", () => {
  const out = newSvd3();
  svd3([0, -2, 0, 3, 0, 0, 0, 0, 1], out);
  assert.deepEqual([...out.s], [3, 2, 1]);
  svd3([1, 1, 1, 1, 1, 1, 1, 1, 1], out);
  assert.ok(Math.abs(out.s[0] - 3) < 1e-15 && out.s[1] < 1e-15 && out.s[2] < 1e-15);
  svd3([NaN, 0, 0, 0, 1, 0, 0, 0, 1], out);
  assert.ok(Number.isNaN(out.s[0]));
});
