/* Pair energies and gradients in C: the algorithm and layout of assembly/pair_energies.ts (four
 * systems side by side, Newton's third law, sums in two levels) on explicit 128-bit vectors.
 * Built and called by bench/native.ts. */
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

typedef float v4 __attribute__((vector_size(16)));

static inline v4 splat(float a) { return (v4){a, a, a, a}; }

static inline v4 root(v4 a) {
#if defined(__SSE__)
  return _mm_sqrt_ps(a);
#else
  for (int k = 0; k < 4; k++) a[k] = __builtin_sqrtf(a[k]);
  return a;
#endif
}

/* Lennard-Jones "beutler", n = 3: core = alpha (1 - t)^2. */
static v4 lennard_jones(const v4 *restrict x, v4 *restrict g, int N, float epsilon, float k,
                        float core) {
  const v4 one = splat(1), soft = splat(core), share = splat(1.0f / (float)N);
  const v4 factor = splat(epsilon), scale = splat(-12 * epsilon), spring = splat(k);
  v4 energy = splat(0), cx = splat(0), cy = splat(0), cz = splat(0);
  for (int i = 0; i < N; i++) {
    cx += x[3 * i];
    cy += x[3 * i + 1];
    cz += x[3 * i + 2];
    g[3 * i] = g[3 * i + 1] = g[3 * i + 2] = splat(0);
  }
  cx *= share;
  cy *= share;
  cz *= share;
  for (int i = 0; i < N; i++) {
    const v4 xi = x[3 * i], yi = x[3 * i + 1], zi = x[3 * i + 2];
    v4 gx = g[3 * i], gy = g[3 * i + 1], gz = g[3 * i + 2], own = splat(0);
    for (int j = i + 1; j < N; j++) {
      const v4 dx = xi - x[3 * j], dy = yi - x[3 * j + 1], dz = zi - x[3 * j + 2];
      const v4 r2 = dx * dx + dy * dy + dz * dz;
      const v4 q = one / (r2 * r2 * r2 + soft);
      const v4 q1 = q - one;
      own += q * (q1 - one);
      const v4 qr2 = q * r2;
      const v4 slope = qr2 * qr2 * q1;
      gx += slope * dx;
      gy += slope * dy;
      gz += slope * dz;
      g[3 * j] -= slope * dx;
      g[3 * j + 1] -= slope * dy;
      g[3 * j + 2] -= slope * dz;
    }
    const v4 dx = xi - cx, dy = yi - cy, dz = zi - cz;
    g[3 * i] = scale * gx + spring * dx;
    g[3 * i + 1] = scale * gy + spring * dy;
    g[3 * i + 2] = scale * gz + spring * dz;
    energy += factor * own + splat(0.5f) * spring * (dx * dx + dy * dy + dz * dz);
  }
  return energy;
}

/* Double well, n = 2. */
static v4 double_well(const v4 *restrict x, v4 *restrict g, int N, const float *parameters) {
  const v4 offset = splat(parameters[0]), a = splat(parameters[1]), b = splat(parameters[2]),
           c = splat(parameters[3]), b2 = b + b, c4 = splat(4) * c;
  v4 energy = splat(0);
  for (int i = 0; i < 2 * N; i++) g[i] = splat(0);
  for (int i = 0; i < N; i++) {
    const v4 xi = x[2 * i], yi = x[2 * i + 1];
    v4 gx = g[2 * i], gy = g[2 * i + 1], own = splat(0);
    for (int j = i + 1; j < N; j++) {
      const v4 dx = xi - x[2 * j], dy = yi - x[2 * j + 1];
      const v4 r = root(dx * dx + dy * dy);
      const v4 d = r - offset, d2 = d * d;
      own += d * (a + d * (b + d2 * c));
      const v4 slope = (a + d * (b2 + d2 * c4)) / r;
      gx += slope * dx;
      gy += slope * dy;
      g[2 * j] -= slope * dx;
      g[2 * j + 1] -= slope * dy;
    }
    g[2 * i] = gx;
    g[2 * i + 1] = gy;
    energy += own;
  }
  return energy;
}

/* kind 0: double well (n = 2); kind 2: Lennard-Jones. Same arguments as pairEnergiesBatch. */
void pair_energies_batch(int kind, const float *parameters, const v4 *x, v4 *gradient, v4 *energies,
                         int N, float t, int blocks) {
  const int size = N * (kind == 0 ? 2 : 3);
  const float left = 1 - t;
  for (int block = 0; block < blocks; block++) {
    energies[block] = kind == 0
        ? double_well(x, gradient, N, parameters)
        : lennard_jones(x, gradient, N, parameters[0], parameters[1], parameters[2] * left * left);
    x += size;
    gradient += size;
  }
}
