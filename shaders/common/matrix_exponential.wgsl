// The action of e^{τA}, A = H S Hᵀ of rank C, on N points: e^{τA}x − x = τ H S φ(M) Z, M = τ HᵀH S,
// Z = Hᵀx, φ(M) = Σ Mʲ/(j+1)! by its polynomial of degree 12 in Horner form: V₁₂ = Z,
// V_k = Z + M V_{k+1}/(k+1), φZ = V₁. Reference: src/backends/reference/matrix_exponential.ts.
// Columns of Z are independent: thread e does column e.

const TERMS: u32 = 12u;
// Places in the scratch area at SMALL: HᵀH (C·C), Z (C·n), φZ (C·n), K = τ Hᵀȳ (C·n), Z̄ (C·n), M̄ of each
// column (n·C·C).
const GRAM: u32 = SMALL;
const ZZ: u32 = GRAM + C * C;
const PZ: u32 = ZZ + C * DIM;
const KK: u32 = PZ + C * DIM;
const ZBAR: u32 = KK + C * DIM;
const MBAR: u32 = ZBAR + C * DIM;

/** HᵀH and Z of the channels at h and the positions at x; ends with a barrier. */
fn exponential_prepare(h: u32, x: u32, lid: u32) {
  for (var q = lid; q < C * C + C * DIM; q += W) {
    var sum = 0.0;
    if (q < C * C) {
      for (var i = 0u; i < rolled(N); i++) {
        sum = fma(work[h + i * C + q / C], work[h + i * C + q % C], sum);
      }
    } else {
      let c = (q - C * C) / DIM;
      let e = (q - C * C) % DIM;
      for (var i = 0u; i < rolled(N); i++) {
        sum = fma(work[h + i * C + c], work[x + i * DIM + e], sum);
      }
    }
    work[GRAM + q] = sum;
  }
  sync();
}

/** M_cd = τ (HᵀH)_cd s_d. */
fn exponential_m(s: u32, tau: f32) -> array<f32, 16> {
  var m = array<f32, 16>();
  for (var q = 0u; q < C * C; q++) {
    m[q] = tau * work[GRAM + q] * work[s + q % C];
  }
  return m;
}

/** out += e^{τA}x − x, after exponential_prepare; ends with a barrier. */
fn exponential_displacement(h: u32, s: u32, tau: f32, out: u32, lid: u32) {
  if (lid < DIM) {
    var m = exponential_m(s, tau);
    var v = array<f32, 4>();
    for (var c = 0u; c < C; c++) {
      v[c] = work[ZZ + c * DIM + lid];
    }
    for (var k = TERMS - 1u; k >= 1u; k--) {
      var next = array<f32, 4>();
      for (var c = 0u; c < C; c++) {
        var sum = 0.0;
        for (var d = 0u; d < C; d++) {
          sum = fma(m[c * C + d], v[d], sum);
        }
        next[c] = work[ZZ + c * DIM + lid] + sum / f32(k + 1u);
      }
      v = next;
    }
    for (var c = 0u; c < C; c++) {
      work[PZ + c * DIM + lid] = v[c];
    }
  }
  sync();
  for (var q = lid; q < SIZE; q += W) {
    let i = q / DIM;
    var sum = 0.0;
    for (var c = 0u; c < C; c++) {
      sum = fma(work[h + i * C + c] * work[s + c], work[PZ + c * DIM + q % DIM], sum);
    }
    work[out + q] = fma(tau, sum, work[out + q]);
  }
  sync();
}

/** τ⟨g, A y⟩, the derivative along log τ for y = e^{τA}x, returned to all threads. */
fn exponential_rate(h: u32, s: u32, y: u32, tau: f32, g: u32, lid: u32) -> f32 {
  var rate = 0.0;
  if (lid < C * DIM) {
    let c = lid / DIM;
    let e = lid % DIM;
    var hg = 0.0;
    var hy = 0.0;
    for (var i = 0u; i < rolled(N); i++) {
      let channel = work[h + i * C + c];
      hg = fma(channel, work[g + i * DIM + e], hg);
      hy = fma(channel, work[y + i * DIM + e], hy);
    }
    rate = tau * work[s + c] * hg * hy;
  }
  return group_sum(rate, lid);
}

/**
 * With ȳ = ∂L/∂(e^{τA}x) at work[ybar ...], adds ∂L/∂H to work[hbar ...] and ∂L/∂s to work[sbar ...];
 * x is held fixed. After exponential_prepare; ends with a barrier.
 */
fn exponential_adjoint(
  h: u32, s: u32, x: u32, tau: f32, ybar: u32, hbar: u32, sbar: u32, lid: u32,
) {
  for (var q = lid; q < C * DIM; q += W) {
    var sum = 0.0;
    for (var i = 0u; i < rolled(N); i++) {
      sum = fma(work[h + i * C + q / DIM], work[ybar + i * DIM + q % DIM], sum);
    }
    work[KK + q] = tau * sum;
  }
  sync();
  if (lid < DIM) {
    var m = exponential_m(s, tau);
    // V_k of this column at (k − 1)·C, k = 1 ... TERMS.
    var v = array<f32, 48>();
    for (var c = 0u; c < C; c++) {
      v[(TERMS - 1u) * C + c] = work[ZZ + c * DIM + lid];
    }
    for (var k = TERMS - 1u; k >= 1u; k--) {
      for (var c = 0u; c < C; c++) {
        var sum = 0.0;
        for (var d = 0u; d < C; d++) {
          sum = fma(m[c * C + d], v[k * C + d], sum);
        }
        v[(k - 1u) * C + c] = work[ZZ + c * DIM + lid] + sum / f32(k + 1u);
      }
    }
    // v̄₁ = S K; Z̄ += v̄_k, M̄ += v̄_k V_{k+1}ᵀ/(k+1), v̄_{k+1} = Mᵀ v̄_k/(k+1).
    var bar = array<f32, 4>();
    var zbar = array<f32, 4>();
    var mbar = array<f32, 16>();
    for (var c = 0u; c < C; c++) {
      bar[c] = work[s + c] * work[KK + c * DIM + lid];
      work[PZ + c * DIM + lid] = v[c];
    }
    for (var k = 1u; k < TERMS; k++) {
      var next = array<f32, 4>();
      let share = 1.0 / f32(k + 1u);
      for (var c = 0u; c < C; c++) {
        zbar[c] += bar[c];
        for (var d = 0u; d < C; d++) {
          mbar[c * C + d] = fma(bar[c] * share, v[k * C + d], mbar[c * C + d]);
          next[d] = fma(m[c * C + d] * share, bar[c], next[d]);
        }
      }
      bar = next;
    }
    for (var c = 0u; c < C; c++) {
      work[ZBAR + c * DIM + lid] = zbar[c] + bar[c];
    }
    for (var q = 0u; q < C * C; q++) {
      work[MBAR + lid * C * C + q] = mbar[q];
    }
  }
  sync();
  // H̄ = τ ȳ (S φZ)ᵀ + x Z̄ᵀ + τ H (M̄ S + S M̄ᵀ), s̄_d = Σ_e K φZ + τ Σ_c M̄_cd G_cd.
  for (var q = lid; q < N * C; q += W) {
    let i = q / C;
    let c = q % C;
    var sum = 0.0;
    for (var e = 0u; e < DIM; e++) {
      sum = fma(tau * work[ybar + i * DIM + e] * work[s + c], work[PZ + c * DIM + e], sum);
      sum = fma(work[x + i * DIM + e], work[ZBAR + c * DIM + e], sum);
    }
    for (var d = 0u; d < C; d++) {
      var both = 0.0;
      for (var e = 0u; e < DIM; e++) {
        let at = MBAR + e * C * C;
        both += work[at + d * C + c] * work[s + c] + work[at + c * C + d] * work[s + d];
      }
      sum = fma(tau * work[h + i * C + d], both, sum);
    }
    work[hbar + q] += sum;
  }
  if (lid < C) {
    var sum = 0.0;
    for (var e = 0u; e < DIM; e++) {
      sum = fma(work[KK + lid * DIM + e], work[PZ + lid * DIM + e], sum);
      for (var c = 0u; c < C; c++) {
        sum = fma(tau * work[MBAR + e * C * C + c * C + lid], work[GRAM + c * C + lid], sum);
      }
    }
    work[sbar + lid] += sum;
  }
  sync();
}
