"""What makes the critic's task harder, so that it is never too sure: noise on what it sees, doubt in what it is told."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class InstanceNoise:
    """Instance noise (Sønderby et al. 2017; Arjovsky & Bottou 2017, section 3): N(0, σ²) on real **and** fake samples alike.

    Smeared out, the two distributions overlap, and no critic separates them without an error that a generator can learn from. σ
    falls from `start`, in units of the samples, to 0 over `steps` training steps: on a line, half a cosine, or all at the end
    ("constant").
    """

    start: float
    steps: int
    schedule: Literal["linear", "cosine", "constant"] = "linear"

    def __post_init__(self) -> None:
        if not 0 < self.start < math.inf or self.steps < 1:
            raise ValueError(f"InstanceNoise: start and steps must be > 0, not {self.start} and {self.steps}")
        if self.schedule not in ("linear", "cosine", "constant"):
            raise ValueError(f"InstanceNoise: the schedule is linear, cosine or constant, not {self.schedule!r}")

    def deviation(self, step: int) -> float:
        """σ at training step `step`, counted from 0."""
        if step >= self.steps:
            return 0.0
        progress = step / self.steps
        falling = {"linear": 1 - progress, "cosine": (1 + math.cos(math.pi * progress)) / 2, "constant": 1.0}
        return self.start * falling[self.schedule]

    def __call__(self, x: Tensor, step: int) -> Tensor:
        """`x`, of any shape, with fresh noise. Gradients pass."""
        deviation = self.deviation(step)
        return x + deviation * torch.randn_like(x) if deviation else x


class Labelled(Protocol):
    undecided: ClassVar[float]
    """The score c that costs the same under either label, a(c) = b(c)."""

    def critic(self, real: Tensor, fake: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class LabelSmoothing:
    """One-sided label smoothing (Salimans et al. 2016, section 3.4): real samples are labelled 1 − `amount`, fakes stay 0.

    The best critic becomes D = (1 − amount) p / (p + q). Fake labels are left alone: with them smoothed, q would enter the
    numerator and hold the generator's samples where they are.
    """

    amount: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.amount < 0.5:
            raise ValueError(f"LabelSmoothing: the amount must be between 0 and 0.5, not {self.amount}")

    def critic(self, objective: Labelled, real: Tensor, fake: Tensor) -> Tensor:
        """What the critic minimises: (1 − amount) a(real) + amount b(real) + b(fake), if `objective.critic` is a(real) + b(fake).

        Raises `ValueError` for an objective without labels.
        """
        if not getattr(objective, "labels", False):
            raise ValueError(
                f"LabelSmoothing: {type(objective).__name__} has no labels to smooth; choose one with labels, such as "
                "non-saturating or least-squares"
            )
        undecided = torch.full_like(real, objective.undecided)
        other_label = objective.critic(undecided, real) - objective.critic(real, undecided)  # b(real) − a(real), for a(c) = b(c)
        return objective.critic(real, fake) + self.amount * other_label
