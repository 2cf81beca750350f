"""Mean energy of LJ-13 (epsilon = 2, k = 1) by another program: float64 HMC chains in JAX.

    python3 tools/lj13_energy.py STATES.npy [steps]

STATES.npy: (at least 1024, 39), where the chains start: `evaluate` of `--method mcmc` writes one
(reference.npy), or published configurations. Prints E[U] of all steps but the first fifth, with the
standard error of the chains' means; 12,500 steps by default. Development only: no test and no run of the project needs Python.
Measured with JAX 0.10.2, numpy 2.4.
"""
import sys

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)

N, EPSILON, CHAINS, LEAPFROGS, BLOCK = 13, 2.0, 1024, 8, 500
FIRST, SECOND = np.triu_indices(N, 1)


def energy(x):
    """epsilon sum_{i<j} (r^-12 - 2 r^-6) + 1/2 sum_i |x_i - x_com|^2, x (N, 3)."""
    d = x[FIRST] - x[SECOND]
    q = 1 / (d * d).sum(-1) ** 3
    c = x - x.mean(0)
    return EPSILON * (q * (q - 2)).sum() + 0.5 * (c * c).sum()


energies = jax.vmap(jax.value_and_grad(energy))


def transition(state, key):
    """One HMC transition of all chains, steps of 0.012 to 0.028."""
    x, u, g = state
    for_v, for_dt, for_test = jax.random.split(key, 3)
    v = jax.random.normal(for_v, x.shape)
    v -= v.mean(1, keepdims=True)
    dt = jax.random.uniform(for_dt, (CHAINS, 1, 1), minval=0.012, maxval=0.028)

    def leap(_, s):
        y, p, _, h = s
        p = p - 0.5 * dt * h
        y = y + dt * p
        w, h = energies(y)
        return y, p - 0.5 * dt * h, w, h

    y, p, w, h = jax.lax.fori_loop(0, LEAPFROGS, leap, (x, v, u, g))
    gain = u - w + 0.5 * (v * v).sum((1, 2)) - 0.5 * (p * p).sum((1, 2))
    accept = jnp.log(jax.random.uniform(for_test, (CHAINS,))) < gain
    pick = accept[:, None, None]
    state = jnp.where(pick, y, x), jnp.where(accept, w, u), jnp.where(pick, h, g)
    return state, (state[1], accept.mean())


@jax.jit
def block(state, key):
    state, (u, accepted) = jax.lax.scan(transition, state, jax.random.split(key, BLOCK))
    return state, u.mean(0), accepted.mean()


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    x = np.load(sys.argv[1]).reshape(-1, N, 3).astype(np.float64)
    if len(x) < CHAINS:
        sys.exit(f"{sys.argv[1]}: {len(x)} states, at least {CHAINS} are needed")
    steps = int(sys.argv[2]) if len(sys.argv) == 3 else 12_500
    every = np.asarray(energies(jnp.array(x))[0])
    print(f"states as given: {every.mean():.3f} ± {every.std() / len(every) ** 0.5:.3f} (if independent)")
    x = jnp.array(x[:: len(x) // CHAINS][:CHAINS])
    x -= x.mean(1, keepdims=True)
    u, g = energies(x)
    state, key, means = (x, u, g), jax.random.PRNGKey(5), []
    while len(means) * BLOCK < steps:
        key, now = jax.random.split(key)
        state, mean, accepted = block(state, now)
        means.append(np.asarray(mean))
        kept = np.mean(means[len(means) // 5:], 0)
        print(
            f"{len(means) * BLOCK} steps, accepted {accepted:.3f}: "
            f"E[U] = {kept.mean():.4f} ± {kept.std() / CHAINS ** 0.5:.4f}",
            flush=True,
        )


main()
