"""One Julep training iteration in PyTorch; what it computes stands in README.md."""

import json
import math
import sys

import common
import numpy as np
from common import DOUBLE_WELL, EXPONENTIAL_TERMS, LAYERS, LENNARD_JONES

import torch

# States in one forward-and-backward pass; the fastest of those tried (README.md).
CHUNK = {"dw4": 512, "lj13": 128}


class Network:
    """The network on (P, N, n) states with one time each. Edges i≠j are laid out (P, N, N−1)."""

    def __init__(self, system):
        n = system.particles
        others = [[j for j in range(n) if j != i] for i in range(n)]
        self.others = torch.tensor(others).reshape(-1)
        self.n = n
        self.length = system.length_scale

    def edges(self, a):
        """(P, N, F) → (P, N, N−1, F): the values of the other particles."""
        return a.index_select(1, self.others).unflatten(1, (self.n, self.n - 1))

    def __call__(self, p, x, t):
        """t (P,) → b, c (P, N, n), channels (P, N, C), scales (P, C)."""
        n = self.n
        difference = x[:, :, None] - self.edges(x)
        s = difference.square().sum(-1, keepdim=True).sqrt() / self.length
        edge = torch.cat([s, 1 / (1 + s * s)], -1)
        radius = x.square().sum(-1, keepdim=True).sqrt() / self.length
        angle = math.pi * t
        clock = [t, angle.sin(), angle.cos(), (2 * angle).sin(), (2 * angle).cos()]
        clock = torch.stack(clock, -1)[:, None].expand(-1, n, -1)
        h = torch.cat([clock, radius, torch.zeros_like(radius)], -1) @ p["in.w"] + p["in.b"]
        for k in range(LAYERS):
            mine = h @ p[f"{k}.wi"] + p[f"{k}.b1"]
            theirs = self.edges(h @ p[f"{k}.wj"])
            first = (mine[:, :, None] + theirs + edge @ p[f"{k}.we"]).tanh()
            message = (first @ p[f"{k}.w2"] + p[f"{k}.b2"]).tanh()
            a = message.sum(2) * (1 / math.sqrt(n))
            update = (h @ p[f"{k}.wnh"] + a @ p[f"{k}.wna"] + p[f"{k}.bn"]).tanh()
            h = h + update @ p[f"{k}.wo"] + p[f"{k}.bo"]
        heads = message @ p["edge.w"] + p["edge.b"]
        unit = difference / (1 + s)
        b = (heads[..., 0:1] * unit).sum(2)
        c = (heads[..., 1:2] * unit).sum(2)
        channels = (h @ p["channel.w"] + p["channel.b"]).tanh()
        scales = h.mean(1) @ p["scale.w"] + p["scale.b"]
        return centre(b), centre(c), centre(channels), scales


def centre(a):
    return a - a.mean(1, keepdim=True)


def exponential_action(tau, h, s, x):
    """e^{τ H S Hᵀ} x = x + τ H S φ(τ HᵀH S) Hᵀx; tau (P,1,1) or a number."""
    s = s[:, :, None]
    gram = h.mT @ h
    term = h.mT @ x
    total = term
    for k in range(1, EXPONENTIAL_TERMS[x.dtype == torch.float64]):
        term = gram @ (s * term) * (tau / (k + 1))
        total = total + term
    return x + h @ (s * total) * tau


# Abramowitz and Stegun 9.8.1-9.8.4: i0e and i1e to 2e-7, float32's own precision. PyTorch's
# float32 i0e took a fifth of the time of a trajectory step.
I0_SMALL = (0.0045813, 0.0360768, 0.2659732, 1.2067492, 3.0899424, 3.5156229, 1.0)
I1_SMALL = (0.00032411, 0.00301532, 0.02658733, 0.15084934, 0.51498869, 0.87890594, 0.5)
I0_LARGE = (
    0.00392377, -0.01647633, 0.02635537, -0.02057706, 0.00916281, -0.00157565, 0.00225319,
    0.01328592, 0.39894228,
)  # fmt: skip
I1_LARGE = (
    -0.00420059, 0.01787654, -0.02895312, 0.02282967, -0.01031555, 0.00163801, -0.00362018,
    -0.03988024, 0.39894228,
)  # fmt: skip
CROSSOVER = 3.75


def horner(coefficients, x):
    out = torch.full_like(x, coefficients[0])
    for a in coefficients[1:]:
        out = out * x + a
    return out


def scaled_bessel(x):
    """e^{−x} I0(x) and e^{−x} I1(x), x ≥ 0."""
    if x.dtype == torch.float64:
        return torch.special.i0e(x), torch.special.i1e(x)
    inner = x.clamp(max=CROSSOVER)
    square, decay = (inner / CROSSOVER).square(), (-inner).exp()
    outer = x.clamp(min=CROSSOVER)
    inverse, root = CROSSOVER / outer, outer.rsqrt()
    small = x < CROSSOVER
    i0 = torch.where(small, horner(I0_SMALL, square) * decay, horner(I0_LARGE, inverse) * root)
    i1 = horner(I1_SMALL, square) * inner * decay
    return i0, torch.where(small, i1, horner(I1_LARGE, inverse) * root)


def exponential(x):
    """e^x of x ≤ 0 where terms below float64's precision may be off: no slow denormal numbers."""
    return x.clamp(min=-36).exp()


class Path:
    """U_t and its gradient, by hand."""

    def __init__(self, system, prior, dtype):
        self.system = system
        tensor = lambda a: torch.tensor(a, dtype=dtype)
        self.inverse_variance = 1 / prior.scale**2
        self.broad_constant = float(prior.broad_constant())
        n = system.particles
        self.i, self.j = torch.triu_indices(n, n, 1)
        incidence = np.zeros((n, len(self.i)))
        incidence[self.i, range(len(self.i))] = 1
        incidence[self.j, range(len(self.j))] = -1
        self.incidence = tensor(incidence)  # (N, pairs): x_i − x_j of every pair, and back
        if system.components:
            packed = prior.packed()
            self.angular = tensor(packed["angular"])
            self.angular_back = self.angular.T.contiguous()
            self.radial = tensor(packed["radial"])
            self.radial_back = self.radial.T.contiguous()
            self.constant = tensor(packed["constant"])
            # (N·M, N): positions relative to each anchor
            rows = [
                np.eye(n)[j] - np.eye(n)[anchor]
                for anchor in range(n)
                for j in range(n)
                if j != anchor
            ]
            self.relative = tensor(np.array(rows))

    def broad(self, x):
        energy = 0.5 * self.inverse_variance * x.square().sum((1, 2)) - self.broad_constant
        return energy, x * self.inverse_variance

    def prior(self, x):
        """−log q and its gradient; x (S, N, n) with the centre of mass at the origin."""
        broad, broad_gradient = self.broad(x)
        if not self.system.components:
            return broad, broad_gradient
        samples, n, m = len(x), self.system.particles, self.system.particles - 1
        y = (self.relative @ x).view(samples * n, m, 2)
        r2 = y.square().sum(-1)
        l = 0.5 * r2.log()
        theta = y * r2.rsqrt()[..., None]
        k = len(self.constant)
        products = (theta.view(-1, 2 * m) @ self.angular).view(-1, 4, k)  # p_re, p_im, m_re, m_im
        lengths = (products[:, 0::2].square() + products[:, 1::2].square() + 1e-20).sqrt()
        scaled0, scaled1 = scaled_bessel(lengths)  # (·, 2, K')
        peak = lengths.amax(1)
        exponentials = exponential(lengths - peak[:, None])
        sum0 = (scaled0 * exponentials).sum(1)
        radial = torch.cat([l, l * l], -1) @ self.radial + self.constant
        terms = (radial + peak + sum0.log()).view(samples, n * k)
        low = math.log(common.BROAD_WEIGHT) - broad
        high = torch.maximum(terms.amax(1), low)
        weights = exponential(terms - high[:, None])
        broad_weight = (low - high).exp()
        total = weights.sum(1) + broad_weight
        energy = -(high + total.log())
        weights = (weights / total[:, None]).view(-1, k)
        # ∂/∂p of log[I0(p) + I0(m)] along the unit vector of p's real and imaginary part
        slope = scaled1 * exponentials * (weights / sum0)[:, None] / lengths
        direction = (products.view(-1, 2, 2, k) * slope[:, :, None]).view(-1, 4 * k)
        theta_gradient = (direction @ self.angular_back).view(-1, m, 2)
        radial_gradient = weights @ self.radial_back
        l_gradient = radial_gradient[:, :m] + 2 * l * radial_gradient[:, m:]
        along = (theta_gradient * theta).sum(-1, keepdim=True)
        y_gradient = (theta_gradient - along * theta) * r2.rsqrt()[..., None]
        y_gradient = y_gradient + y * (l_gradient / r2)[..., None]
        gradient = self.relative.mT @ y_gradient.view(samples, n * m, 2)
        return energy, broad_gradient * (broad_weight / total)[:, None, None] - gradient

    def target(self, x, t):
        d = self.incidence.mT @ x
        r2 = d.square().sum(-1)
        if self.system.name == "dw4":
            r = r2.sqrt()
            u = r - DOUBLE_WELL["offset"]
            a, b = DOUBLE_WELL["quadratic"], DOUBLE_WELL["quartic"]
            u2 = u * u
            energy = (a * u2 + b * u2 * u2).sum(1)
            slope = (2 * a * u + 4 * b * u2 * u) / r
            return energy, self.incidence @ (slope[..., None] * d)
        k, eps = LENNARD_JONES["oscillator"], LENNARD_JONES["epsilon"]
        q = 1 / (LENNARD_JONES["alpha"] * (1 - t) ** 2 + r2 * r2 * r2)
        energy = eps * (q * q - 2 * q).sum(1) + 0.5 * k * x.square().sum((1, 2))
        slope = -12 * eps * (q - 1) * (q * r2) ** 2
        return energy, self.incidence @ (slope[..., None] * d) + k * x

    def __call__(self, x, t):
        """U_t and the force −∇U_t, clipped and centred."""
        prior_energy, prior_gradient = self.prior(x)
        energy, gradient = self.target(x, t)
        force = (t - 1) * prior_gradient - t * gradient
        if self.system.force_clip is not None:
            excess = force.square().sum(-1, keepdim=True) * (1 / self.system.force_clip**2)
            force = force * (1 + excess).rsqrt()
        return (1 - t) * prior_energy + t * energy, centre(force)


class Peer:
    def __init__(self, system, prior, samples, steps, parameters, double=False, compiled=False,
                 fraction=1.0, seed=0):
        self.dtype = torch.float64 if double else torch.float32
        self.system, self.source, self.samples, self.steps = system, prior, samples, steps
        self.parameters = {
            k: torch.tensor(v, dtype=self.dtype, requires_grad=True) for k, v in parameters.items()
        }
        self.network = Network(system)
        self.path = Path(system, prior, self.dtype)
        self.knots = torch.tensor(common.knot_matrix(steps), dtype=self.dtype)
        self.times = torch.arange(steps + 1, dtype=self.dtype) / steps
        self.generator = torch.Generator().manual_seed(seed)
        self.optimiser = torch.optim.Adam(
            list(self.parameters.values()), lr=common.LEARNING_RATE, foreach=True
        )
        self.window = max(1, round(fraction * steps))
        self.step = torch.compile(self._step, dynamic=False) if compiled else self._step
        self.loss = torch.compile(self._loss, dynamic=False) if compiled else self._loss

    def evaluate(self, x, t):
        energy, force = self.path(x, t)
        return energy, force, *self.network(self.parameters, x, t.expand(len(x)))

    def _step(self, x, now, t_next, delta, eps, noise):
        energy, force, b, c, h, s = now
        plus = exponential_action(delta, h, s, x) + (b + c + eps * force) * delta
        moved = plus + (2 * eps * delta).sqrt() * noise
        then = self.evaluate(moved, t_next)
        energy_then, force_then, b, c, h, s = then
        minus = exponential_action(-delta, h, s, moved) + (c - b + eps * force_then) * delta
        forward = (moved - plus).square().sum((1, 2))
        backward = (x - minus).square().sum((1, 2))
        increment = energy - energy_then + (forward - backward) / (4 * eps * delta)
        return moved, then, increment

    @torch.no_grad()
    def trajectories(self):
        """Rolls S paths; returns states (T+1, S, N, n) and increments of W (T, S)."""
        x = torch.tensor(self.source.draw(self.samples), dtype=self.dtype)
        shape = (self.steps, *x.shape)
        noise = torch.randn(shape, dtype=self.dtype, generator=self.generator)
        noise = noise - noise.mean(2, keepdim=True)
        self.step_sizes = (self.knots @ self.parameters["log_step"]).exp()
        now = self.evaluate(x, self.times[0])
        states, forces, increments = [x], [now[1]], []
        for i in range(self.steps):
            t, after = self.times[i], self.times[i + 1]
            x, now, w = self.step(x, now, after, after - t, self.step_sizes[i], noise[i])
            states.append(x)
            forces.append(now[1])
            increments.append(w)
        self.states, self.forces = torch.stack(states), torch.stack(forces)
        self.increments = torch.stack(increments)
        return self.states.double().numpy(), self.increments.double().numpy()

    def _loss(self, x, force, before, after, t, knots_before, knots_after, minus_weight, plus_weight):
        """Σ over rows of coefficient · (the increments' terms that depend on this state)."""
        delta = 1 / self.steps
        eps_before = (knots_before @ self.parameters["log_step"]).exp()[:, None, None]
        eps_after = (knots_after @ self.parameters["log_step"]).exp()[:, None, None]
        b, c, h, s = self.network(self.parameters, x, t)
        minus = exponential_action(-delta, h, s, x) + (c - b + eps_before * force) * delta
        plus = exponential_action(delta, h, s, x) + (b + c + eps_after * force) * delta
        backward = (before - minus).square() / eps_before
        forward = (after - plus).square() / eps_after
        terms = plus_weight * forward.sum((1, 2)) - minus_weight * backward.sum((1, 2))
        return terms.sum() / (4 * delta)

    def accumulate(self):
        """Adds the gradient of Σ_steps Var_samples[increment] to the parameters' .grad.

        A state enters the kernel k⁺ that leaves it and the kernel k⁻ that arrives at it: one
        network evaluation serves both.
        """
        steps, samples, window = self.steps, self.samples, self.window
        increments = self.increments
        weight = 2 * (increments - increments.mean(1, keepdim=True)) / (samples - 1)
        start = torch.randint(steps - window + 1, (samples,), generator=self.generator)
        at = start + torch.arange(window + 1)[:, None]  # (window + 1, S) state indices
        sample = torch.arange(samples).expand_as(at)
        previous, following = (at - 1).clamp(min=0), (at + 1).clamp(max=steps)
        step_before, step_after = previous, at.clamp(max=steps - 1)
        minus_weight, plus_weight = weight[step_before, sample], weight[step_after, sample]
        minus_weight[0], plus_weight[-1] = 0, 0
        rows = [
            self.states[at, sample],
            self.forces[at, sample],
            self.states[previous, sample],
            self.states[following, sample],
            self.times[at],
            self.knots[step_before],
            self.knots[step_after],
            minus_weight,
            plus_weight,
        ]
        rows = [r.flatten(0, 1) for r in rows]
        total = len(rows[0])
        # Equal chunks, so that a compiled program is made once; the last is filled with weight 0.
        chunk = min(CHUNK[self.system.name], total)
        chunks = math.ceil(total / chunk)
        chunk = math.ceil(total / chunks)
        for k in range(chunks):
            part = [r[k * chunk : (k + 1) * chunk] for r in rows]
            missing = chunk - len(part[0])
            if missing:
                part = [torch.cat([a, a[:1].expand(missing, *a.shape[1:])]) for a in part]
                part[-1][-missing:] = 0
                part[-2][-missing:] = 0
            self.loss(*part).backward()

    def gradient(self):
        self.optimiser.zero_grad(set_to_none=True)
        self.accumulate()
        return {k: v.grad.double().numpy() for k, v in self.parameters.items()}

    def iteration(self):
        self.trajectories()
        self.optimiser.zero_grad(set_to_none=True)
        self.accumulate()
        torch.nn.utils.clip_grad_norm_(list(self.parameters.values()), common.GRADIENT_CLIP)
        self.optimiser.step()


def build(options):
    """torch.compile, which was faster than eager wherever it worked; eager where it does not."""
    system = common.SYSTEMS[options.system]
    torch.set_num_threads(options.threads)
    for mode in ("compile", "eager") if options.mode == "auto" else (options.mode,):
        peer = Peer(
            system,
            common.Prior(system),
            options.samples,
            options.steps,
            common.initial_parameters(system, options.seed),
            compiled=mode == "compile",
            fraction=options.gradient_fraction,
            seed=options.seed,
        )
        try:
            peer.iteration()
            break
        except Exception as error:  # torch.compile needs a C++ compiler
            if options.mode != "auto" or mode == "eager":
                raise
            print(f"torch.compile failed: {str(error).splitlines()[0]}", file=sys.stderr)
    return peer.iteration, {"mode": mode}


def main():
    options = common.arguments(__doc__, modes=("auto", "compile", "eager"))
    if options.check:
        torch.set_num_threads(1)  # small batches
        tolerances = {False: (5e-4, 5e-4), True: (1e-6, 1e-6)}
        print(json.dumps(common.check(Peer, tolerances), indent=1))
        return
    common.measure(options, "torch", torch.__version__, lambda: build(options))


if __name__ == "__main__":
    main()
