"""Effects that show on points in the plane."""

import itertools
import math
from statistics import median
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from scipy.stats import spearmanr
from torch import Tensor, nn

from bench.gan.runs import Runs, Wanted, table
from translate.gan.adversary import Adversary
from translate.gan.constraints import Constraint, GradientPenalty, Unconstrained
from translate.gan.divergences import js, wasserstein
from translate.gan.networks import MLPCritic
from translate.gan.objectives import Minimax, NonSaturating, Objective, Wasserstein
from translate.gan.stabilisers import InstanceNoise
from translate.training.recipe import Recipe
from translate.training.samples import draw


def disjoint(runs: Runs) -> None:
    """Two parallel segments at distance θ: JS is a plateau, W is θ (Arjovsky et al. 2017, example 1 and fig. 1)."""
    rows = []
    for theta in (0.0, 0.125, 0.25, 0.5, 1.0):
        shift = torch.tensor(theta, dtype=torch.float64, requires_grad=True)
        height = torch.linspace(0, 1, 64, dtype=torch.float64)
        here = torch.stack([torch.zeros(64, dtype=torch.float64), height], dim=1)
        there = torch.stack([shift.expand(64), height], dim=1)
        distance = wasserstein(here, there)
        slope = torch.autograd.grad(distance, shift)[0].item() if theta else float("nan")
        columns = torch.arange(17) / 8  # a histogram over x, whose bins are 1/8 wide
        p, q, farther = ((columns == at).double() for at in (0.0, theta, theta + 1 / 8))
        rise = (js(p, farther) - js(p, q)).item() * 8
        rows.append((theta, js(p, q).item(), rise, distance.item(), slope))
    table("Parallel segments at distance θ", ("θ", "JS, nats", "ΔJS/Δθ to the next eighth", "W₁", "dW₁/dθ"), rows)
    figure = Figure((6, 3))
    axes = figure.subplots()
    axes.plot([row[0] for row in rows], [row[1] for row in rows], "o-", label="Jensen–Shannon")
    axes.plot([row[0] for row in rows], [row[3] for row in rows], "s-", label="Wasserstein")
    axes.set(xlabel="distance θ of the segments", ylabel="divergence")
    axes.legend()
    runs.save(figure, "disjoint")


class Game(NamedTuple):
    """A generator that can only shift its blob, 20 deviations away from the data's."""

    adversary: Adversary
    optimiser: torch.optim.Optimizer

    @classmethod
    def new(cls, objective: Objective, constraint: Constraint, noise: float = 0) -> "Game":
        torch.manual_seed(0)
        stabilisers = [InstanceNoise(noise, 10**9, "constant")] if noise else []
        adversary = Adversary(MLPCritic((2,), 128, 3), objective, constraint, stabilisers)
        return cls(adversary, torch.optim.Adam(adversary.parameters(), 1e-3, betas=(0.0, 0.9)))

    def samples(self, shift: Tensor | None = None) -> tuple[Tensor, Tensor]:
        real, fake = 0.05 * torch.randn(2, 256, 2)
        return real, fake + (torch.tensor([1.0, 0.0]) if shift is None else shift)

    def train_critic(self, steps: int) -> None:
        for _ in range(steps):
            self.optimiser.zero_grad()
            sum(self.adversary.critic(*self.samples()).values()).backward()  # type: ignore[union-attr]
            self.optimiser.step()
            self.adversary.after_step()

    def gradient(self) -> float:
        """‖∂ generator's loss / ∂ shift‖, averaged over 8 batches."""
        total = torch.zeros(2)
        for _ in range(8):
            shift = torch.tensor([1.0, 0.0], requires_grad=True)
            loss = self.adversary.generator(self.samples(shift)[1])["adversarial"]
            total += torch.autograd.grad(loss, shift)[0] / 8
        return total.norm().item()


def saturation(runs: Runs) -> None:
    """The better the critic, the smaller the saturating loss's gradient (Arjovsky & Bottou 2017, theorem 2.4)."""
    losses: dict[str, tuple[Objective, Constraint]] = {
        "minimax": (Minimax(), Unconstrained()),
        "non-saturating": (NonSaturating(), Unconstrained()),
        "Wasserstein, gradient penalty": (Wasserstein(), GradientPenalty()),
    }
    moments = (0, 5, 25, 100, 400, 1600)
    curves: dict[str, list[float]] = {}
    for name, parts in losses.items():
        game, done, curves[name] = Game.new(*parts), 0, []
        for moment in moments:
            game.train_critic(moment - done)
            done = moment
            curves[name].append(game.gradient())
    table(
        "Gradient that reaches the generator, after so many steps of the critic",
        ("objective", *map(str, moments)),
        [(name, *values) for name, values in curves.items()],
    )
    figure = Figure((6, 3))
    axes = figure.subplots()
    for name, values in curves.items():
        axes.plot([moment + 1 for moment in moments], values, "o-", label=name)
    axes.set(xscale="log", yscale="log", xlabel="1 + steps of the critic", ylabel="‖gradient‖")
    axes.legend()
    runs.save(figure, "saturation")


def noise(runs: Runs) -> None:
    """Instance noise makes the two overlap, and the gradient comes back (Arjovsky & Bottou 2017, section 3)."""
    deviations = (0.0, 0.1, 0.2, 0.4, 0.8)
    found = []
    for deviation in deviations:
        game = Game.new(Minimax(), Unconstrained(), noise=deviation)
        game.train_critic(1600)
        found.append(game.gradient())
    title = "Saturating loss, critic trained for 1600 steps"
    table(title, ("instance noise σ", "‖gradient‖"), list(zip(deviations, found, strict=True)))
    figure = Figure((5, 3))
    axes = figure.subplots()
    axes.plot(deviations, found, "o-")
    axes.set(yscale="log", xlabel="σ of the instance noise", ylabel="‖gradient‖")
    runs.save(figure, "noise")


ZERO_CENTERED = (
    "critic.constraint.name=zero-centered",
    "critic.constraint.weight=0.1",
    "critic.constraint.on=both",
    "optimisers.critic.lr=1e-3",
    "optimisers.generator.lr=1e-3",
)
SYSTEMS: dict[str, tuple[str, ...]] = {
    "gan": ("gan-ring",),
    "non-saturating": ("gan-ring", "critic.objective.name=non-saturating"),
    "hinge": ("gan-ring", "critic.objective.name=hinge"),
    "lsgan": ("lsgan-ring",),
    "fgan": ("fgan-ring",),
    "fgan-kl": ("fgan-ring", "critic.objective.divergence=kl"),
    "fgan-kl-flat": ("fgan-ring", "critic.objective.divergence=kl", *ZERO_CENTERED),
    "fgan-pearson-flat": ("fgan-ring", "critic.objective.divergence=pearson", *ZERO_CENTERED),
    "loss-sensitive": ("loss-sensitive-ring",),
    "ebgan": ("ebgan-ring",),
    "dragan": ("dragan-ring",),
    "sngan": ("sngan-ring",),
    "wgan": ("wgan-ring",),
    "wgan-gp": ("wgan-gp-ring",),
    "r3gan": ("r3gan-ring",),
}
RING: dict[str, tuple[str, ...]] = {
    "sngan-norm-1": ("sngan-ring", "critic.constraint.norm=1"),
    "gan-slow-critic": ("gan-ring", "optimisers.critic.lr=1e-4"),
    "wgan-gp-slow-critic": ("wgan-gp-ring", "optimisers.critic.lr=1e-4"),
    "r3gan-slow-critic": ("r3gan-ring", "optimisers.critic.lr=1e-4"),
}
"""Recipe and settings of each row of the comparisons; those of `RING` on the ring alone. Slow: at a tenth of the rate."""


def _mixture(system: str, kind: str, seed: int) -> Wanted:
    """The system's run of half of its recipe's steps, by which modes are found or lost."""
    recipe, *settings = (SYSTEMS | RING)[system]
    half = Recipe.load(f"{recipe}.toml").steps // 2
    shared = (f"steps={half}", f"validate_every={half}", f"data.kind={kind}", f"seed={seed}")
    return recipe, [*settings, *shared], f"{system}-{kind}-{seed}"


def modes(runs: Runs) -> None:
    """Modes found, and share of good samples, of every objective (median over the seeds, with least and most)."""
    for kind, all_modes, systems in (("ring", 8, SYSTEMS | RING), ("grid", 25, SYSTEMS)):
        rows, pictures = [], []
        wanted = {system: [_mixture(system, kind, seed) for seed in range(1, runs.seeds + 1)] for system in systems}
        runs.ahead(itertools.chain(*wanted.values()))
        for system in systems:
            trained = [runs.found(run) for run in wanted[system]]
            scores = {key: sorted(run.last(key) for run in trained) for key in ("modes", "quality", "distance")}
            spread = {key: f"{median(values):.3g} ({values[0]:.3g}–{values[-1]:.3g})" for key, values in scores.items()}
            rows.append((system, spread["modes"], spread["quality"], spread["distance"]))
            pictures.append((system, trained[0]))
        title = f"The {kind} of {all_modes} Gaussians: median of {runs.seeds} seeds (least–most)"
        table(title, ("system", f"modes of {all_modes}", "good samples", "W₁ to the truth"), rows)
        lines = math.ceil(len(pictures) / 4)
        figure = Figure((9, 2.3 * lines))
        for place, (name, run) in enumerate(pictures, start=1):
            axes = figure.add_subplot(lines, 4, place)
            if not run.diverged:
                axes.plot(*draw(run.model, run.network, 1000).T, ".", markersize=1.5)
            title = f"{name}, diverged" if run.diverged else name
            axes.set(xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), title=title, xticks=[], yticks=[])
        runs.save(figure, kind)


def estimate(runs: Runs) -> None:
    """The critic's estimate follows the exact distance all through the training (Arjovsky et al. 2017, section 4.2, fig. 3)."""
    settings = (
        "critic.constraint.weight=1",
        "optimisers.critic.lr=1e-3",
        "optimisers.generator.lr=5e-5",
        "ema=0.0",
        "log_every=100",
        "validate_every=100",
        "steps=6000",
    )
    rows, figure = [], Figure((9, 2.8))
    for axes, seed in zip(figure.subplots(1, 3, sharey=True), (1, 2, 3), strict=True):
        run = runs.trained("wgan-gp-ring", *settings, f"seed={seed}", name=f"wgan-gp-estimate-{seed}")
        steps, distance = run.curve("distance")
        logged = dict(zip(*run.curve("critic/critic"), strict=True))
        guessed = [-logged[step] for step in steps]
        rows.append((seed, len(steps), float(spearmanr(guessed, distance).statistic)))
        axes.plot(steps, guessed, label="critic's estimate")
        axes.plot(steps, distance, label="exact, between 400 samples")
        axes.set(xlabel="step", title=f"seed {seed}")
    figure.axes[0].legend()
    table("WGAN-GP in the plane", ("seed", "moments", "Spearman's rank correlation of estimate and exact W₁"), rows)
    runs.save(figure, "estimate")


def weights(runs: Runs) -> None:
    """Clipping pushes weights to ±c, the penalty does not (Gulrajani et al. 2017, fig. 1b)."""
    rows, figure = [], Figure((8, 2.6))
    for axes, name in zip(figure.subplots(1, 2), ("wgan", "wgan-gp"), strict=True):
        critic: nn.Module = runs.found(_mixture(name, "ring", 1)).model.D.network
        values = torch.cat([p.detach().flatten() for p in critic.parameters() if p.dim() == 2])
        largest = values.abs().max().item()
        rows.append((name, largest, (values.abs() > 0.99 * largest).float().mean().item()))
        axes.hist(values.numpy(), 80)
        axes.set(title=name, yticks=[], xlabel="weight")
    table("The critic's weights", ("system", "largest weight", "share within 1 % of it"), rows)
    runs.save(figure, "weights")
