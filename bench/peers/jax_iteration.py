"""One Julep training iteration in JAX; what it computes stands in README.md."""

import json
import math
import os

import common
import numpy as np
from common import DOUBLE_WELL, EXPONENTIAL_TERMS, LAYERS, LENNARD_JONES

OPTIONS = common.arguments(__doc__)
# XLA sizes its thread pool by the cores this process may use, once, at import.
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: OPTIONS.threads])
os.environ["JAX_PLATFORMS"] = "cpu"
if OPTIONS.check:
    os.environ["JAX_ENABLE_X64"] = "1"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402

# States in one forward-and-backward pass; the fastest of those tried (README.md).
CHUNK = {"dw4": 512, "lj13": 128}


def centre(a):
    return a - a.mean(1, keepdims=True)


def network(system, p, x, t):
    """t (P,) → b, c (P, N, n), channels (P, N, C), scales (P, C)."""
    n = system.particles
    others = np.array([[j for j in range(n) if j != i] for i in range(n)])
    difference = x[:, :, None] - x[:, others]
    s = jnp.sqrt(jnp.sum(difference**2, -1, keepdims=True)) / system.length_scale
    closeness = 1 / (1 + s * s)
    radius = jnp.sqrt(jnp.sum(x**2, -1, keepdims=True)) / system.length_scale
    angle = jnp.pi * t
    clock = [t, jnp.sin(angle), jnp.cos(angle), jnp.sin(2 * angle), jnp.cos(2 * angle)]
    clock = jnp.broadcast_to(jnp.stack(clock, -1)[:, None], (len(x), n, 5))
    h = jnp.concatenate([clock, radius, jnp.zeros_like(radius)], -1) @ p["in.w"] + p["in.b"]
    for k in range(LAYERS):
        mine = h @ p[f"{k}.wi"] + p[f"{k}.b1"]
        theirs = (h @ p[f"{k}.wj"])[:, others]
        we = p[f"{k}.we"]
        first = jnp.tanh(mine[:, :, None] + theirs + s * we[0] + closeness * we[1])
        message = jnp.tanh(first @ p[f"{k}.w2"] + p[f"{k}.b2"])
        a = jnp.sum(message, 2) * (1 / math.sqrt(n))
        update = jnp.tanh(h @ p[f"{k}.wnh"] + a @ p[f"{k}.wna"] + p[f"{k}.bn"])
        h = h + update @ p[f"{k}.wo"] + p[f"{k}.bo"]
    heads = message @ p["edge.w"] + p["edge.b"]
    unit = difference / (1 + s)
    b = jnp.sum(heads[..., 0:1] * unit, 2)
    c = jnp.sum(heads[..., 1:2] * unit, 2)
    channels = jnp.tanh(h @ p["channel.w"] + p["channel.b"])
    scales = h.mean(1) @ p["scale.w"] + p["scale.b"]
    return centre(b), centre(c), centre(channels), scales


def contract(a, b):
    """aᵀ b over particles, (P, N, C), (P, N, n) → (P, C, n), as sums that XLA fuses."""
    return jnp.sum(a[:, :, :, None] * b[:, :, None, :], 1)


def exponential_action(tau, h, s, x):
    """e^{τ H S Hᵀ} x = x + τ H S φ(τ HᵀH S) Hᵀx."""
    s = s[:, :, None]
    gram = contract(h, h)
    term = total = contract(h, x)
    for k in range(1, EXPONENTIAL_TERMS[x.dtype == jnp.float64]):
        term = jnp.sum(gram[..., None] * (s * term)[:, None], 2) * (tau / (k + 1))
        total = total + term
    return x + jnp.sum(h[..., None] * (s * total)[:, None], 2) * tau


class Path:
    """U_t and its gradient, by hand."""

    def __init__(self, system, prior, dtype):
        self.system = system
        array = lambda a: jnp.asarray(a, dtype)
        self.inverse_variance = 1 / prior.scale**2
        self.broad_constant = float(prior.broad_constant())
        n = system.particles
        i, j = np.triu_indices(n, 1)
        incidence = np.zeros((n, len(i)))
        incidence[i, range(len(i))] = 1
        incidence[j, range(len(j))] = -1
        self.i, self.j, self.incidence = i, j, array(incidence)
        if system.components:
            packed = prior.packed()
            self.angular, self.radial = array(packed["angular"]), array(packed["radial"])
            self.constant = array(packed["constant"])
            rows = [
                np.eye(n)[j] - np.eye(n)[anchor]
                for anchor in range(n)
                for j in range(n)
                if j != anchor
            ]
            self.relative = array(np.array(rows))

    def prior(self, x):
        """−log q and its gradient; x (S, N, n) with the centre of mass at the origin."""
        broad = 0.5 * self.inverse_variance * jnp.sum(x**2, (1, 2)) - self.broad_constant
        broad_gradient = x * self.inverse_variance
        if not self.system.components:
            return broad, broad_gradient
        samples, n, m = len(x), self.system.particles, self.system.particles - 1
        y = jnp.einsum("rn,snc->src", self.relative, x).reshape(samples * n, m, 2)
        r2 = jnp.sum(y**2, -1)
        l = 0.5 * jnp.log(r2)
        theta = y * jax.lax.rsqrt(r2)[..., None]
        k = len(self.constant)
        products = (theta.reshape(-1, 2 * m) @ self.angular).reshape(-1, 2, 2, k)
        lengths = jnp.sqrt(jnp.sum(products**2, 2) + 1e-20)  # (·, 2, K')
        peak = lengths.max(1)
        # Terms below float64's precision may be off: no slow denormal numbers.
        exponential = lambda a: jnp.exp(jnp.maximum(a, -36))
        exponentials = exponential(lengths - peak[:, None])
        sum0 = jnp.sum(jax.scipy.special.i0e(lengths) * exponentials, 1)
        radial = jnp.concatenate([l, l * l], -1) @ self.radial + self.constant
        terms = (radial + peak + jnp.log(sum0)).reshape(samples, n * k)
        low = math.log(common.BROAD_WEIGHT) - broad
        high = jnp.maximum(terms.max(1), low)
        weights = exponential(terms - high[:, None])
        broad_weight = jnp.exp(low - high)
        total = weights.sum(1) + broad_weight
        weights = (weights / total[:, None]).reshape(-1, k)
        slope = jax.scipy.special.i1e(lengths) * exponentials
        slope = slope * (weights / sum0)[:, None] / lengths
        direction = (products * slope[:, :, None]).reshape(-1, 4 * k)
        theta_gradient = (direction @ self.angular.T).reshape(-1, m, 2)
        radial_gradient = weights @ self.radial.T
        l_gradient = radial_gradient[:, :m] + 2 * l * radial_gradient[:, m:]
        along = jnp.sum(theta_gradient * theta, -1, keepdims=True)
        y_gradient = (theta_gradient - along * theta) * jax.lax.rsqrt(r2)[..., None]
        y_gradient = y_gradient + y * (l_gradient / r2)[..., None]
        y_gradient = y_gradient.reshape(samples, n * m, 2)
        gradient = jnp.einsum("rn,src->snc", self.relative, y_gradient)
        broad_part = broad_gradient * (broad_weight / total)[:, None, None]
        return -(high + jnp.log(total)), broad_part - gradient

    def target(self, x, t):
        d = x[:, self.i] - x[:, self.j]
        r2 = jnp.sum(d**2, -1)
        back = lambda slope: jnp.einsum("np,spc->snc", self.incidence, slope[..., None] * d)
        if self.system.name == "dw4":
            r = jnp.sqrt(r2)
            u = r - DOUBLE_WELL["offset"]
            a, b = DOUBLE_WELL["quadratic"], DOUBLE_WELL["quartic"]
            energy = jnp.sum(a * u**2 + b * u**4, 1)
            return energy, back((2 * a * u + 4 * b * u**3) / r)
        k, eps = LENNARD_JONES["oscillator"], LENNARD_JONES["epsilon"]
        q = 1 / (LENNARD_JONES["alpha"] * (1 - t) ** 2 + r2**3)
        energy = eps * jnp.sum(q * q - 2 * q, 1) + 0.5 * k * jnp.sum(x**2, (1, 2))
        return energy, back(-12 * eps * (q - 1) * (q * r2) ** 2) + k * x

    def __call__(self, x, t):
        """U_t and the force −∇U_t, clipped and centred."""
        prior_energy, prior_gradient = self.prior(x)
        energy, gradient = self.target(x, t)
        force = (t - 1) * prior_gradient - t * gradient
        if self.system.force_clip is not None:
            excess = jnp.sum(force**2, -1, keepdims=True) / self.system.force_clip**2
            force = force * jax.lax.rsqrt(1 + excess)
        return (1 - t) * prior_energy + t * energy, centre(force)


class Peer:
    def __init__(self, system, prior, samples, steps, parameters, double=False, fraction=1.0,
                 seed=0):
        self.dtype = jnp.float64 if double else jnp.float32
        self.system, self.source, self.samples, self.steps = system, prior, samples, steps
        self.parameters = {k: jnp.asarray(v, self.dtype) for k, v in parameters.items()}
        self.path = Path(system, prior, self.dtype)
        self.knots = jnp.asarray(common.knot_matrix(steps), self.dtype)
        self.times = jnp.arange(steps + 1, dtype=self.dtype) / steps
        self.window = max(1, round(fraction * steps))
        self.key = jax.random.key(seed)
        zero = jax.tree.map(jnp.zeros_like, self.parameters)
        self.moments = (zero, zero, jnp.zeros((), jnp.int32))
        self.roll = jax.jit(self._roll)
        self.differentiate = jax.jit(self._gradient)
        self.update = jax.jit(self._update)
        self.once = jax.jit(self._once)

    def _roll(self, p, key, x):
        """States and forces (T+1, S, N, n), increments of W (T, S)."""
        step_sizes = jnp.exp(self.knots @ p["log_step"])

        def evaluate(x, t):
            return *self.path(x, t), *network(self.system, p, x, jnp.full(len(x), t, self.dtype))

        def step(carry, inputs):
            x, (energy, force, b, c, h, s) = carry
            t, after, eps, key = inputs
            delta = after - t
            noise = centre(jax.random.normal(key, x.shape, self.dtype))
            plus = exponential_action(delta, h, s, x) + (b + c + eps * force) * delta
            moved = plus + jnp.sqrt(2 * eps * delta) * noise
            then = evaluate(moved, after)
            energy_then, force_then, b, c, h, s = then
            minus = exponential_action(-delta, h, s, moved) + (c - b + eps * force_then) * delta
            forward = jnp.sum((moved - plus) ** 2, (1, 2))
            backward = jnp.sum((x - minus) ** 2, (1, 2))
            increment = energy - energy_then + (forward - backward) / (4 * eps * delta)
            return (moved, then), (moved, force_then, increment)

        first = evaluate(x, self.times[0])
        keys = jax.random.split(key, self.steps)
        inputs = self.times[:-1], self.times[1:], step_sizes, keys
        _, (states, forces, increments) = jax.lax.scan(step, (x, first), inputs)
        states, forces = jnp.concatenate([x[None], states]), jnp.concatenate([first[1][None], forces])
        return states, forces, increments

    def _loss(self, p, row):
        """Σ over rows of coefficient · (the increments' terms that depend on this state)."""
        x, force, before, after, t, knots_before, knots_after, minus_weight, plus_weight = row
        delta = 1 / self.steps
        eps_before = jnp.exp(knots_before @ p["log_step"])[:, None, None]
        eps_after = jnp.exp(knots_after @ p["log_step"])[:, None, None]
        b, c, h, s = network(self.system, p, x, t)
        minus = exponential_action(-delta, h, s, x) + (c - b + eps_before * force) * delta
        plus = exponential_action(delta, h, s, x) + (b + c + eps_after * force) * delta
        backward = jnp.sum((before - minus) ** 2 / eps_before, (1, 2))
        forward = jnp.sum((after - plus) ** 2 / eps_after, (1, 2))
        return jnp.sum(plus_weight * forward - minus_weight * backward) / (4 * delta)

    def _gradient(self, p, key, states, forces, increments):
        """The gradient of Σ_steps Var_samples[increment]; a state enters the kernel k⁺ that leaves
        it and the kernel k⁻ that arrives at it: one network evaluation serves both."""
        steps, samples, window = self.steps, self.samples, self.window
        weight = 2 * (increments - increments.mean(1, keepdims=True)) / (samples - 1)
        start = jax.random.randint(key, (samples,), 0, steps - window + 1)
        at = start + jnp.arange(window + 1)[:, None]  # (window + 1, S) state indices
        sample = jnp.broadcast_to(jnp.arange(samples), at.shape)
        previous, following = jnp.maximum(at - 1, 0), jnp.minimum(at + 1, steps)
        step_before, step_after = previous, jnp.minimum(at, steps - 1)
        rows = [
            states[at, sample],
            forces[at, sample],
            states[previous, sample],
            states[following, sample],
            self.times[at],
            self.knots[step_before],
            self.knots[step_after],
            weight[step_before, sample].at[0].set(0),
            weight[step_after, sample].at[-1].set(0),
        ]
        total = at.size
        chunks = math.ceil(total / min(CHUNK[self.system.name], total))
        chunk = math.ceil(total / chunks)

        def split(row):
            """Equal chunks; the last is filled with copies of row 0, whose weights are set to 0."""
            flat = row.reshape(total, *row.shape[2:])
            fill = jnp.broadcast_to(flat[:1], (chunks * chunk - total, *flat.shape[1:]))
            return jnp.concatenate([flat, fill]).reshape(chunks, chunk, *flat.shape[1:])

        rows = [split(r) for r in rows]
        real = (jnp.arange(chunks * chunk) < total).reshape(chunks, chunk)
        rows[-2:] = [r * real for r in rows[-2:]]

        def add(gradient, row):
            return jax.tree.map(jnp.add, gradient, jax.grad(self._loss)(p, row)), None

        return jax.lax.scan(add, jax.tree.map(jnp.zeros_like, p), rows)[0]

    def _update(self, p, moments, gradient):
        """Adam after clipping the norm of the whole gradient."""
        norm = jnp.sqrt(sum(jnp.sum(g * g) for g in gradient.values()))
        scale = jnp.minimum(1, common.GRADIENT_CLIP / (norm + 1e-6))
        m, v, count = moments
        count = count + 1
        m = {k: 0.9 * m[k] + 0.1 * scale * g for k, g in gradient.items()}
        v = {k: 0.999 * v[k] + 0.001 * (scale * g) ** 2 for k, g in gradient.items()}
        first, second = 1 - 0.9**count, 1 - 0.999**count
        rate = common.LEARNING_RATE
        p = {k: p[k] - rate * (m[k] / first) / (jnp.sqrt(v[k] / second) + 1e-8) for k in p}
        return p, (m, v, count)

    def _once(self, p, moments, key, x):
        roll_key, window_key = jax.random.split(key)
        gradient = self._gradient(p, window_key, *self._roll(p, roll_key, x))
        return self._update(p, moments, gradient)

    def draw(self):
        self.key, key = jax.random.split(self.key)
        return key, jnp.asarray(self.source.draw(self.samples), self.dtype)

    def trajectories(self):
        self.stored = self.roll(self.parameters, *self.draw())
        return np.asarray(self.stored[0], float), np.asarray(self.stored[2], float)

    def gradient(self):
        gradient = self.differentiate(self.parameters, self.key, *self.stored)
        return {k: np.asarray(v, float) for k, v in gradient.items()}

    def iteration(self):
        key, x = self.draw()
        self.parameters, self.moments = self.once(self.parameters, self.moments, key, x)
        jax.block_until_ready(self.parameters)


def build(options):
    system = common.SYSTEMS[options.system]
    peer = Peer(
        system,
        common.Prior(system),
        options.samples,
        options.steps,
        common.initial_parameters(system, options.seed),
        fraction=options.gradient_fraction,
        seed=options.seed,
    )
    return peer.iteration, {"mode": "jit"}


def main():
    if OPTIONS.check:
        tolerances = {False: (5e-4, 5e-4), True: (1e-6, 1e-6)}
        print(json.dumps(common.check(Peer, tolerances), indent=1))
        return
    common.measure(OPTIONS, "jax", jax.__version__, lambda: build(OPTIONS))


if __name__ == "__main__":
    main()
