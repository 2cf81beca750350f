/** Distances and directions between all particles of one configuration, and derivatives by them. */

/** Distances are kept from zero, so that coincident particles give a finite (tiny) density. */
const SMALLEST = 1e-150;

/**
 * Ordered pair (a, b) stands at a·N + b: from particle a, the anchor, to particle b. Distances and
 * directions are there after a call of `polar`.
 */
export class PairGeometry {
  /** The configuration, (N, n). */
  readonly positions: Float64Array;
  /** |x_b − x_a|, (N, N). */
  readonly radius: Float64Array;
  /** log |x_b − x_a|, (N, N). */
  readonly logRadius: Float64Array;
  /** (x_b − x_a)/|x_b − x_a|, (N, N, n). */
  readonly direction: Float64Array;
  #polar = false;

  constructor(readonly particles: number, readonly dimension: 2 | 3) {
    this.positions = new Float64Array(particles * dimension);
    this.radius = new Float64Array(particles * particles);
    this.logRadius = new Float64Array(particles * particles);
    this.direction = new Float64Array(particles * particles * dimension);
  }

  /** Takes the configuration at `offset` of `positions`, N·n numbers. */
  set(positions: Float64Array, offset: number): void {
    for (let i = 0; i < this.positions.length; i++) this.positions[i] = positions[offset + i];
    this.#polar = false;
  }

  /** Distances and directions of the present configuration, computed once. */
  polar(): void {
    if (this.#polar) return;
    this.#polar = true;
    const { particles, dimension: n, positions } = this;
    for (let a = 0; a < particles; a++) {
      for (let b = 0; b < particles; b++) {
        if (a === b) continue;
        const pair = a * particles + b;
        let square = 0;
        for (let d = 0; d < n; d++) {
          const delta = positions[b * n + d] - positions[a * n + d];
          this.direction[pair * n + d] = delta;
          square += delta * delta;
        }
        const radius = Math.max(Math.sqrt(square), SMALLEST);
        this.radius[pair] = radius;
        this.logRadius[pair] = Math.log(radius);
        for (let d = 0; d < n; d++) this.direction[pair * n + d] /= radius;
      }
    }
  }

  /**
   * Adds to `gradient` (N·n, at `offset`) what derivatives by log radius and by direction come to
   * (nothing where no distances were asked for):
   * ∂/∂(x_b − x_a) = [θ ∂/∂log r + (1 − θθᵀ) ∂/∂θ] / r.
   *
   * @param byLogRadius (N, N)
   * @param byDirection (N, N, n)
   */
  pullBack(
    byLogRadius: Float64Array,
    byDirection: Float64Array,
    gradient: Float64Array,
    offset: number,
  ): void {
    if (!this.#polar) return;
    const { particles, dimension: n, direction } = this;
    for (let a = 0; a < particles; a++) {
      for (let b = 0; b < particles; b++) {
        if (a === b) continue;
        const pair = a * particles + b;
        let along = 0;
        for (let d = 0; d < n; d++) along += direction[pair * n + d] * byDirection[pair * n + d];
        for (let d = 0; d < n; d++) {
          const force = (direction[pair * n + d] * (byLogRadius[pair] - along) +
            byDirection[pair * n + d]) / this.radius[pair];
          gradient[offset + b * n + d] += force;
          gradient[offset + a * n + d] -= force;
        }
      }
    }
  }
}
