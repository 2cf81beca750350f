/* The machine's ceiling at 128 bits: multiply-adds that never leave the registers. */
typedef float v4 __attribute__((vector_size(16)));

/* 12 independent chains cover the latency of two pipes; 8 operations for each multiply-add. */
#define CHAINS 12

/* Returns a number that depends on every chain; 96 operations for each iteration. */
float fma_peak(int iterations, float factor, float addend) {
  const v4 f = {factor, factor, factor, factor}, a = {addend, addend, addend, addend};
  v4 c[CHAINS];
  for (int k = 0; k < CHAINS; k++) c[k] = f * (float)k;
  for (int n = 0; n < iterations; n++) {
#pragma GCC unroll 12
    for (int k = 0; k < CHAINS; k++) c[k] = c[k] * f + a;
  }
  float sum = 0;
  for (int k = 0; k < CHAINS; k++) sum += c[k][0] + c[k][1] + c[k][2] + c[k][3];
  return sum;
}
