"""What both peers share: the two test systems, initial parameters, prior draws, the command line,
and a plain float64 evaluation of path weights (the oracle of `--check`). NumPy and SciPy only.

Notation: S samples, T steps, N particles, n coordinates, H = 64 units, C = 2 channels,
x (S, N, n) with the centre of mass at the origin. U is dimensionless, t runs from 0 to 1.
"""

import argparse
import itertools
import json
import sys
import time
from dataclasses import dataclass

import numpy as np
from scipy.special import i0e, logsumexp

HIDDEN = 64
LAYERS = 3
CHANNELS = 2
KNOTS = 8
LEARNING_RATE = 1e-3
GRADIENT_CLIP = 1.0
BROAD_WEIGHT = 0.05
# Terms of φ(z) = Σ z^k/(k+1)!, z = τHᵀHS, by precision (float32, float64): |z| stays below 0.1 in
# a timed iteration of 100 steps; the checks take 5 steps and large scales.
EXPONENTIAL_TERMS = {False: 6, True: 20}


@dataclass(frozen=True)
class System:
    name: str
    particles: int
    dimension: int
    length_scale: float
    step_size: float  # initial ε, length²
    force_clip: float | None
    components: int  # 0: the broad Gaussian alone


SYSTEMS = {
    "dw4": System("dw4", 4, 2, 4.0, 0.12, None, 24),
    "lj13": System("lj13", 13, 3, 1.0, 0.01, 100.0, 0),
}
DOUBLE_WELL = dict(offset=4.0, quadratic=-4.0, quartic=0.9)
LENNARD_JONES = dict(epsilon=2.0, oscillator=1.0, alpha=0.5)
DW4_LOG_Z = 31.053526594024  # anchored, by quadrature


# ---------------------------------------------------------------- parameters


def initial_parameters(system, seed, heads=0.0):
    """Ordered dict of float64 arrays; `heads` scales the last layers (0: the usual start)."""
    rng = np.random.default_rng(seed)

    def dense(rows, columns, scale=1.0, fan_in=None):
        return rng.normal(size=(rows, columns)) * (scale / np.sqrt(fan_in or rows))

    h = HIDDEN
    p = {"in.w": dense(7, h), "in.b": np.zeros(h)}
    for k in range(LAYERS):
        p[f"{k}.wi"] = dense(h, h, fan_in=2 * h + 2)
        p[f"{k}.wj"] = dense(h, h, fan_in=2 * h + 2)
        p[f"{k}.we"] = dense(2, h, fan_in=4)
        p[f"{k}.b1"] = np.zeros(h)
        p[f"{k}.w2"] = dense(h, h)
        p[f"{k}.b2"] = np.zeros(h)
        p[f"{k}.wnh"] = dense(h, h, fan_in=2 * h)
        p[f"{k}.wna"] = dense(h, h, fan_in=2 * h)
        p[f"{k}.bn"] = np.zeros(h)
        p[f"{k}.wo"] = dense(h, h)
        p[f"{k}.bo"] = np.zeros(h)
    p["edge.w"], p["edge.b"] = dense(h, 2, heads), heads * rng.normal(size=2)
    p["channel.w"], p["channel.b"] = dense(h, CHANNELS), np.zeros(CHANNELS)
    p["scale.w"], p["scale.b"] = dense(h, CHANNELS, heads), heads * rng.normal(size=CHANNELS)
    p["log_step"] = np.full(KNOTS, np.log(system.step_size))
    return p


def knot_matrix(steps):
    """(T, KNOTS): log ε of a step is the linear interpolation of the knots at its midpoint."""
    at = (np.arange(steps) + 0.5) / steps * (KNOTS - 1)
    low = np.minimum(at.astype(int), KNOTS - 2)
    out = np.zeros((steps, KNOTS))
    out[np.arange(steps), low] = 1 - (at - low)
    out[np.arange(steps), low + 1] = at - low
    return out


# ---------------------------------------------------------------- the prior


class Prior:
    """(1 − w)·orbit vMF × LogNormal mixture over all labellings + w·broad Gaussian; or the
    broad Gaussian alone. Log densities are with respect to the anchored measure."""

    def __init__(self, system, seed=7):
        self.system = system
        self.rng = np.random.default_rng(seed)
        self.scale = 1.0
        if system.components == 0:
            return
        shapes = minimised_double_wells(system, self.rng)
        self.scale = float(np.sqrt(np.mean(shapes**2)))
        y = shapes[:, 1:] - shapes[:, :1]
        radius = np.linalg.norm(y, axis=-1)
        width = 0.3
        k = system.components
        self.log_pi = np.full(k, -np.log(k))
        self.mu = y / radius[..., None]  # (K, M, n)
        self.log_radius = np.log(radius)  # (K, M)
        self.sigma = width / radius
        self.kappa = (radius / width) ** 2

    def broad_constant(self):
        s = self.system
        return -0.5 * (s.particles - 1) * s.dimension * np.log(
            2 * np.pi * self.scale**2
        ) - 0.5 * s.dimension * np.log(s.particles)

    def draw(self, samples):
        """(S, N, n) exact draws, centre of mass at the origin."""
        s, rng = self.system, self.rng
        x = rng.normal(size=(samples, s.particles, s.dimension)) * self.scale
        if s.components:
            k = rng.integers(s.components, size=samples)  # equal weights
            radius = np.exp(self.log_radius[k] + self.sigma[k] * rng.normal(size=self.sigma[k].shape))
            angle = rng.vonmises(np.arctan2(self.mu[k, :, 1], self.mu[k, :, 0]), self.kappa[k])
            y = radius[..., None] * np.stack([np.cos(angle), np.sin(angle)], -1)
            # Rotation and labelling of a draw matter to nothing downstream.
            mixture = np.concatenate([np.zeros((samples, 1, 2)), y], 1)
            x = np.where((rng.random(samples) < BROAD_WEIGHT)[:, None, None], x, mixture)
        return x - x.mean(1, keepdims=True)

    def packed(self):
        """The mixture as matrices for products with angular and radial features (n = 2).

        Rows run over the M·n (angular: particle, coordinate) or 2M (radial: l_i then l_i²)
        features of one choice of anchor, columns over the K·M! components relabelled among the
        non-anchors. p and m are the moduli of Σ κ conj(μ) θ and Σ κ μ θ.
        """
        m = self.system.particles - 1
        orders = [list(o) for o in itertools.permutations(range(m))]
        pick = lambda a: np.concatenate([a[:, o] for o in orders])
        mu, kappa = pick(self.mu), pick(self.kappa)
        log_radius, sigma = pick(self.log_radius), pick(self.sigma)
        a, b = kappa * mu[..., 0], kappa * mu[..., 1]
        columns = lambda u, v: np.stack([u, v], -1).reshape(len(u), -1).T
        angular = np.concatenate(
            [columns(a, b), columns(-b, a), columns(a, -b), columns(b, a)], 1
        )  # (2M, 4·K') : p_re, p_im, m_re, m_im
        radial = np.concatenate([log_radius / sigma**2 - 2, -0.5 / sigma**2], 1).T  # (2M, K')
        constant = (
            np.tile(self.log_pi, len(orders))
            + np.sum(
                -np.log(sigma) - 0.5 * np.log(2 * np.pi) - 0.5 * (log_radius / sigma) ** 2, -1
            )
            - np.sum(np.log(2 * np.pi) + np.log(i0e(kappa)) + kappa, -1)
            - np.log(2.0)
            - np.log(len(orders) * self.system.particles)
            + np.log(1 - BROAD_WEIGHT)
        )
        return dict(angular=angular, radial=radial, constant=constant)

    def log_density(self, x):
        """Oracle: one labelling after another. x (S, N, n) → (S,)"""
        s = self.system
        broad = -0.5 * np.sum((x - x.mean(1, keepdims=True)) ** 2, (1, 2)) / self.scale**2
        broad = broad + self.broad_constant()
        if s.components == 0:
            return broad
        terms = []
        for labelling in itertools.permutations(range(s.particles)):
            z = x[:, list(labelling)]
            y = z[:, 1:] - z[:, :1]
            r = np.linalg.norm(y, axis=-1)[:, None]  # (S, 1, M)
            theta = y / np.linalg.norm(y, axis=-1, keepdims=True)
            c = np.einsum("km,kma,smb->skab", self.kappa, self.mu, theta)
            p = np.hypot(c[..., 0, 0] + c[..., 1, 1], c[..., 1, 0] - c[..., 0, 1])
            m = np.hypot(c[..., 0, 0] - c[..., 1, 1], c[..., 0, 1] + c[..., 1, 0])
            log_i = np.logaddexp(np.log(i0e(p)) + p, np.log(i0e(m)) + m) - np.log(2)
            normal = -0.5 * ((np.log(r) - self.log_radius) / self.sigma) ** 2
            radial = normal - np.log(self.sigma * np.sqrt(2 * np.pi)) - s.dimension * np.log(r)
            circle = -np.log(2 * np.pi) - np.log(i0e(self.kappa)) - self.kappa
            terms.append(self.log_pi + (radial + circle).sum(-1) + log_i)
        mixture = logsumexp(np.concatenate(terms, 1), axis=1) - np.log(len(terms))
        return np.logaddexp(np.log(1 - BROAD_WEIGHT) + mixture, np.log(BROAD_WEIGHT) + broad)


def minimised_double_wells(system, rng, descent_steps=400):
    """(K, N, n): random configurations after gradient descent with clipped steps."""
    x = rng.normal(size=(system.components, system.particles, system.dimension)) * 2.5
    for _ in range(descent_steps):
        gradient = numerical_gradient(lambda y: double_well(y), x)
        norm = np.linalg.norm(gradient, axis=-1, keepdims=True)
        x = x - 0.01 * gradient * np.minimum(1, 20 / np.maximum(norm, 1e-12))
    return x - x.mean(1, keepdims=True)


# ---------------------------------------------------------------- oracle, float64


def double_well(x):
    i, j = np.triu_indices(x.shape[1], 1)
    d = np.linalg.norm(x[:, i] - x[:, j], axis=-1) - DOUBLE_WELL["offset"]
    return np.sum(DOUBLE_WELL["quadratic"] * d**2 + DOUBLE_WELL["quartic"] * d**4, -1)


def lennard_jones(x, t):
    """Beutler soft core: 1/r⁶ → 1/(α(1−t)² + r⁶)."""
    i, j = np.triu_indices(x.shape[1], 1)
    r2 = np.sum((x[:, i] - x[:, j]) ** 2, -1)
    q = 1 / (LENNARD_JONES["alpha"] * (1 - t) ** 2 + r2**3)
    centred = x - x.mean(1, keepdims=True)
    return LENNARD_JONES["epsilon"] * np.sum(q**2 - 2 * q, -1) + 0.5 * LENNARD_JONES[
        "oscillator"
    ] * np.sum(centred**2, (1, 2))


def annealed_energy(system, prior, x, t):
    """U_t = (1−t) U_0 + t U_1, U_0 = −log q."""
    target = double_well(x) if system.name == "dw4" else lennard_jones(x, t)
    return -(1 - t) * prior.log_density(x) + t * target


def numerical_gradient(f, x, h=2e-4):
    """Central differences of fourth order."""
    out = np.zeros_like(x)
    for index in np.ndindex(x.shape[1:]):
        step = np.zeros_like(x)
        step[(slice(None), *index)] = h
        near, far = f(x + step) - f(x - step), f(x + 2 * step) - f(x - 2 * step)
        out[(slice(None), *index)] = (8 * near - far) / (12 * h)
    return out


def network(system, p, x, t):
    """b, c (S, N, n) and h (S, N, C), centred; s (S, C)."""
    samples, n_particles, _ = x.shape
    radius = np.linalg.norm(x, axis=-1) / system.length_scale
    clock = [t, np.sin(np.pi * t), np.cos(np.pi * t), np.sin(2 * np.pi * t), np.cos(2 * np.pi * t)]
    features = np.zeros((samples, n_particles, 7))
    features[..., :5] = clock
    features[..., 5] = radius
    h = features @ p["in.w"] + p["in.b"]
    difference = x[:, :, None] - x[:, None]
    s = np.linalg.norm(difference, axis=-1, keepdims=True) / system.length_scale
    edge = np.concatenate([s, 1 / (1 + s * s)], -1)
    others = (1 - np.eye(n_particles))[..., None]
    for k in range(LAYERS):
        q = lambda name: p[f"{k}.{name}"]
        first = (h @ q("wi"))[:, :, None] + (h @ q("wj"))[:, None] + edge @ q("we") + q("b1")
        message = np.tanh(np.tanh(first) @ q("w2") + q("b2"))
        a = np.sum(message * others, 2) / np.sqrt(n_particles)
        h = h + np.tanh(h @ q("wnh") + a @ q("wna") + q("bn")) @ q("wo") + q("bo")
    heads = (message @ p["edge.w"] + p["edge.b"]) * others
    b, c = (np.sum(heads[..., k, None] * difference / (1 + s), 2) for k in range(2))
    channels = np.tanh(h @ p["channel.w"] + p["channel.b"])
    centre = lambda a: a - a.mean(1, keepdims=True)
    return centre(b), centre(c), centre(channels), (h @ p["scale.w"] + p["scale.b"]).mean(1)


def exponential_action(tau, h, s, x):
    """e^{τ H S Hᵀ} x by the series of the full N×N matrix."""
    matrix = tau * np.einsum("snc,sc,smc->snm", h, s, h)
    out, term = x, x
    for k in range(1, 25):
        term = matrix @ term / k
        out = out + term
    return out


def clipped_force(system, prior, x, t):
    force = -numerical_gradient(lambda y: annealed_energy(system, prior, y, t), x)
    if system.force_clip is not None:
        force = force / np.sqrt(1 + np.sum(force**2, -1, keepdims=True) / system.force_clip**2)
    return force - force.mean(1, keepdims=True)


def increments(system, prior, p, states, forces=None):
    """(T, S): increments of W along given states (T+1, S, N, n). Forces do not depend on the
    parameters and may be handed in."""
    steps = len(states) - 1
    times = np.arange(steps + 1) / steps
    if forces is None:
        forces = [clipped_force(system, prior, x, t) for x, t in zip(states, times)]
    energies = [annealed_energy(system, prior, x, t) for x, t in zip(states, times)]
    nets = [network(system, p, x, t) for x, t in zip(states, times)]
    step_size = np.exp(knot_matrix(steps) @ p["log_step"])
    out = []
    for i in range(steps):
        delta, eps = times[i + 1] - times[i], step_size[i]
        b, c, h, s = nets[i]
        plus = exponential_action(delta, h, s, states[i]) + (b + c + eps * forces[i]) * delta
        b, c, h, s = nets[i + 1]
        minus = exponential_action(-delta, h, s, states[i + 1])
        minus = minus + (-b + c + eps * forces[i + 1]) * delta
        forward = np.sum((states[i + 1] - plus) ** 2, (1, 2))
        backward = np.sum((states[i] - minus) ** 2, (1, 2))
        out.append(energies[i] - energies[i + 1] + (forward - backward) / (4 * eps * delta))
    return np.array(out), forces


# ---------------------------------------------------------------- checks and timing


def check(peer_factory, tolerances):
    """Compares a peer with the oracle; raises AssertionError on the first disagreement.

    `peer_factory(system, prior, samples, steps, parameters, double)` → object with
    `trajectories()` → (states, increments) and `gradient()` → dict of arrays, float64 NumPy:
    the gradient of Σ_steps Var_samples[increment] along the last trajectories.
    """
    report = {}
    for name, system in SYSTEMS.items():
        prior = Prior(system)
        for double in (False, True):
            parameters = initial_parameters(system, 3, heads=0.5)
            peer = peer_factory(system, prior, 6, 5, parameters, double)
            states, ours = peer.trajectories()
            expected, forces = increments(system, prior, parameters, states)
            error = float(np.max(np.abs(ours - expected) / (1 + np.abs(expected))))
            report[f"{name} {'f64' if double else 'f32'} increments"] = error
            assert error < tolerances[double][0], f"{name}: increments differ by {error}"
            gradient = peer.gradient()
            loss = lambda q: increments(system, prior, q, states, forces)[0].var(1, ddof=1).sum()
            rng = np.random.default_rng(5)
            for key, value in parameters.items():
                # Along the gradient, and a random part that finds what is missing from it.
                direction = gradient[key] / np.linalg.norm(gradient[key])
                direction = direction + rng.normal(size=value.shape) / np.sqrt(value.size)
                h = 1e-5
                numeric = (
                    loss({**parameters, key: value + h * direction})
                    - loss({**parameters, key: value - h * direction})
                ) / (2 * h)
                scale = np.linalg.norm(gradient[key])
                error = abs(float(np.sum(gradient[key] * direction)) - numeric) / (scale + 1e-8)
                worst = f"{name} {'f64' if double else 'f32'} gradient"
                report[worst] = max(report.get(worst, 0.0), error)
                assert error < tolerances[double][1], f"{name}: gradient of {key} off by {error}"
    # Heads at zero: plain annealed Langevin dynamics, whose log Z is known for dw4.
    system = SYSTEMS["dw4"]
    peer = peer_factory(system, Prior(system), 4000, 100, initial_parameters(system, 3), False)
    w = peer.trajectories()[1].sum(0)
    weight = np.exp(w - w.max())
    log_z = float(np.log(weight.mean()) + w.max())
    error_bar = float(weight.std() / weight.mean() / np.sqrt(len(w)))
    report["dw4 log Z"], report["dw4 log Z standard error"] = log_z, error_bar
    report["dw4 ess"] = float(weight.sum() ** 2 / (weight**2).sum() / len(w))
    assert error_bar < 0.1 and abs(log_z - DW4_LOG_Z) < 4 * error_bar, f"log Z {log_z}"
    return report


def arguments(description, modes=("auto",)):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--mode", choices=modes, default="auto", help="auto: the fastest that works")
    parser.add_argument("--system", choices=sorted(SYSTEMS), default="dw4")
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--gradient-fraction", type=float, default=1.0)
    parser.add_argument("--repeats", type=int, default=5, help="timed iterations (median)")
    parser.add_argument("--seed", type=int, default=2666)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument(
        "--serve",
        action="store_true",
        help="warm up, print the JSON object, then run and time one iteration per input line",
    )
    parser.add_argument("--check", action="store_true", help="compare with the float64 oracle")
    options = parser.parse_args()
    if min(options.samples - 1, options.steps, options.threads, options.repeats) < 1:
        parser.error("--samples must be at least 2, --steps, --threads and --repeats at least 1")
    if not 0 < options.gradient_fraction <= 1:
        parser.error(f"--gradient-fraction must be in (0, 1], got {options.gradient_fraction}")
    return options


def timed(iteration):
    wall, cpu = time.perf_counter(), time.process_time()
    iteration()
    return {"seconds": time.perf_counter() - wall, "cpuSeconds": time.process_time() - cpu}


def measure(options, framework, version, build):
    """`build()` → (iteration, extra fields). Prints the result; see README.md for its fields."""
    start = time.perf_counter()
    iteration, extra = build()
    iteration()
    compile_seconds = time.perf_counter() - start
    iteration()
    result = {
        "framework": framework,
        "version": version,
        "system": options.system,
        "threads": options.threads,
        "samples": options.samples,
        "steps": options.steps,
        "gradientFraction": options.gradient_fraction,
        "compileSeconds": compile_seconds,
        **extra,
    }
    if not options.serve:
        runs = [timed(iteration) for _ in range(options.repeats)]
        for key in ("seconds", "cpuSeconds"):
            result[key] = float(np.median([r[key] for r in runs]))
    if options.json or options.serve:
        print(json.dumps(result), flush=True)
    else:
        print(
            f"{framework} {version} {options.system}: {result['seconds']:.3f} s an iteration, "
            f"{options.threads} threads, first one {compile_seconds:.1f} s"
        )
    if options.serve:
        for _ in sys.stdin:
            print(json.dumps(timed(iteration)), flush=True)
