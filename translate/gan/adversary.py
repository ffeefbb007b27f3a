"""Adversary: a critic with its objective, its constraint and its stabilisers. The only place that detaches."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from translate.gan.constraints import Constraint
from translate.gan.objectives import Objective
from translate.gan.stabilisers import (
    FeatureMatching,
    HistoricalAveraging,
    InstanceNoise,
    LabelSmoothing,
    MinibatchDiscrimination,
    MinibatchScore,
    PullingAway,
    Stabiliser,
)

Kind = TypeVar("Kind")


class Seen(NamedTuple):
    """Real samples and fakes that a critic has judged, and the scores that it gave; without gradients."""

    real: Tensor
    fake: Tensor
    real_score: Tensor
    fake_score: Tensor


class Adversary(nn.Module):
    """Scores samples `[N, C, H, W]` or `[N, D]`, beside a condition that real and fake share where there is one.

    A condition is either of the samples' own kind (`[N, C, H, W]` beside pictures) or a vector `[N, K]`, such as a one-hot
    class, which beside pictures becomes K constant planes.
    """

    step: Tensor
    seen: Seen | None = None
    """What the critic judged last, for whoever watches the training."""

    def __init__(
        self, critic: nn.Module, objective: Objective, constraint: Constraint, stabilisers: Sequence[Stabiliser] = ()
    ) -> None:
        super().__init__()
        refuse_nonsense(critic, objective, constraint, stabilisers)
        self.comparison = _one(stabilisers, MinibatchScore)
        self.network = constraint.wrap(self.comparison.wrap(critic) if self.comparison else critic)
        self.objective = objective
        self.constraint = constraint
        self.noise = _one(stabilisers, InstanceNoise)
        self.smoothing = _one(stabilisers, LabelSmoothing)
        self.history = _one(stabilisers, HistoricalAveraging)
        self.matching = _one(stabilisers, FeatureMatching)
        self.pulling = _one(stabilisers, PullingAway)
        self.register_buffer("step", torch.zeros((), dtype=torch.long))

    def critic(self, real: Tensor, fake: Tensor, condition: Tensor | None = None) -> dict[str, Tensor]:
        """The critic's losses. No gradient reaches whatever made `fake`.

        With instance noise a penalty, too, is taken at the noisy samples, which are what this critic is to be smooth on.
        """
        real, fake = real.detach(), fake.detach()
        distance = _distance(real, fake) if self.objective.metric else None
        samples = real, fake
        real, fake = self._noisy(real), self._noisy(fake)
        score = self._score(None if condition is None else condition.detach())
        scores = score(real), score(fake)
        self.seen = Seen(*samples, *(given.detach() for given in scores))
        if self.smoothing:
            losses = {"critic": self.smoothing.critic(self.objective, *scores)}
        else:
            losses = {"critic": self.objective.critic(*scores, distance=distance)}
        penalty = self.constraint.penalty(score, real, fake)
        if penalty.requires_grad:
            losses["penalty"] = penalty
        if self.history is not None:
            losses["history"] = self.history.penalty(self.network)
        return losses

    def generator(self, fake: Tensor, condition: Tensor | None = None, real: Tensor | None = None) -> dict[str, Tensor]:
        """What the generator minimises, term by term; `real` for those objectives and terms that compare with real samples.

        The critic's own weights get no gradient.
        """
        with self._frozen():
            score, fake = self._score(condition), self._noisy(fake)
            real = None if real is None else self._noisy(real.detach())
            if self.objective.paired and real is None:
                raise ValueError(f"{type(self.objective).__name__} compares with real samples, and the generator was given none")
            opposite = score(real) if self.objective.paired and real is not None else None
            losses = {"adversarial": self.objective.generator(score(fake), opposite)}
            seen = fake if condition is None else join(condition, fake)
            if self.matching:
                if real is None:
                    raise ValueError("feature matching compares with real samples, and the generator was given none")
                shown = real if condition is None else join(condition, real)
                losses["features"] = self.matching(self.network.features(shown), self.network.features(seen))  # type: ignore[operator]
            if self.pulling:
                losses["pulling_away"] = self.pulling(self.network.encode(seen))  # type: ignore[operator]
            return losses

    def fooled(self, real: Tensor, fake: Tensor) -> Tensor:
        """What somebody minimises who makes both `real` and `fake`, as BiGAN's encoder and generator do: the critic's own
        loss with the two sides exchanged. The critic's own weights get no gradient."""
        with self._frozen():
            score = self._score(None)
            return self.objective.critic(score(self._noisy(fake)), score(self._noisy(real)))

    def after_step(self) -> None:
        """After each step of the critic's optimiser."""
        self.constraint.after_step(self.network)
        self.step += 1
        if self.history is not None:
            self.history.update(self.network)

    def _score(self, condition: Tensor | None) -> Callable[[Tensor], Tensor]:
        # A penalty differentiates this with respect to the sample alone: the condition is none of its business.
        # Scores in bfloat16 would lose the digits by which a good critic tells two samples apart.
        def score(x: Tensor) -> Tensor:
            given = self.network(x if condition is None else join(condition, x))
            return given.to(torch.promote_types(given.dtype, torch.float32))

        return score

    def _noisy(self, x: Tensor) -> Tensor:
        return x if self.noise is None else self.noise(x, int(self.step))

    @contextmanager
    def _frozen(self) -> Iterator[None]:
        self.network.requires_grad_(False)
        try:
            yield
        finally:
            self.network.requires_grad_(True)


def join(condition: Tensor, sample: Tensor) -> Tensor:
    """The condition before the sample along dimension 1; numbers beside pictures become constant planes."""
    if condition.dim() == 2 and sample.dim() > 2:
        condition = condition[(...,) + (None,) * (sample.dim() - 2)].expand(-1, -1, *sample.shape[2:])
    return torch.cat([condition, sample], dim=1)


def named(side: str, terms: dict[str, Tensor]) -> dict[str, Tensor]:
    """The terms of one adversary, told apart from those of the system's other one."""
    return {f"{name}_{side}": term for name, term in terms.items()}


def refuse_nonsense(critic: nn.Module, objective: Objective, constraint: Constraint, stabilisers: Sequence[Stabiliser]) -> None:
    """Raises `ValueError`, with the reason, for parts that do not make a system together."""
    name = type(objective).__name__
    energy = getattr(critic, "energy", False)
    if objective.energy and not energy:
        raise ValueError(f"{name} needs energies ≥ 0: its critic is an autoencoder, not {type(critic).__name__}")
    if energy and not (objective.energy or objective.metric):
        raise ValueError(f"an autoencoder critic gives energies, low for real samples, but {name} raises the scores of real ones")
    if getattr(critic, "sigmoid", False) and not objective.bounded:
        raise ValueError(f"{name} takes scores as they are, without bounds: leave out the critic's sigmoid")
    if objective.lipschitz and not constraint.lipschitz:
        raise ValueError(
            f"{name} estimates a distance only with a Lipschitz critic: choose a constraint that bounds its slope, "
            "such as gradient-penalty or weight-clipping"
        )
    mixing = [type(m).__name__ for m in critic.modules() if isinstance(m, _BatchNorm | MinibatchDiscrimination)]
    mixing += [MinibatchDiscrimination.__name__] if _one(stabilisers, MinibatchScore) else []
    if constraint.per_sample and mixing:
        raise ValueError(
            f"{type(constraint).__name__} takes the gradient of each sample's own score, but with {mixing[0]} a score depends on "
            "the whole batch: leave it out of the critic (for a norm: 'layer' or 'none')"
        )
    if objective.metric and getattr(objective, "gamma", 0.0) > 0 and not energy:
        raise ValueError(f"{name} with gamma > 0 lowers the losses of real samples without end: set gamma = 0, or take energies")
    if len({type(part) for part in stabilisers}) < len(stabilisers):
        raise ValueError("a stabiliser is given twice; once is enough")
    if _one(stabilisers, LabelSmoothing) and not objective.labels:
        raise ValueError(f"{name} has no labels that could be smoothed: leave out label-smoothing")
    for part, called in ((FeatureMatching, "feature-matching"), (MinibatchScore, "minibatch-discrimination")):
        if _one(stabilisers, part) and not hasattr(critic, "features"):
            raise ValueError(f"{called}: {type(critic).__name__} has no features; choose an mlp-critic or a dcgan-critic")
    if _one(stabilisers, PullingAway) and not hasattr(critic, "encode"):
        raise ValueError(f"pulling-away works on encodings, which only an autoencoder critic has, not {type(critic).__name__}")


def _distance(real: Tensor, fake: Tensor) -> Tensor:
    """‖x − G(z)‖₁ of each pair, `[N]`."""
    if real.shape != fake.shape:
        raise ValueError(f"pairs are needed, but there are {len(real)} real samples and {len(fake)} fake ones")
    return (real - fake).abs().flatten(1).sum(dim=1)


def _one(stabilisers: Sequence[Stabiliser], kind: type[Kind]) -> Kind | None:
    return next((part for part in stabilisers if isinstance(part, kind)), None)
