"""What watches over a training: it stops one whose losses leave the numbers, and warns where two-player training collapses."""

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from translate.gan.adversary import Adversary, Seen
from translate.models import System

BLOCK = 100
"""Moves of a player before its largest loss is what the next ones are compared with."""
WINDOW = 10
"""Logged steps that a warning looks back on."""
SURE = 0.01
"""Share of the loss of guessing below which a critic is called sure of everything."""
ALIKE = 0.05
"""Share of the real samples' spread below which fakes are called alike."""


class Diverged(FloatingPointError):
    """A training that cannot go on, before anybody moved on the strength of it."""

    def __init__(self, step: int, player: str, what: str, losses: Mapping[str, float]) -> None:
        terms = ", ".join(f"{name} {value:.6g}" for name, value in losses.items())
        super().__init__(f"step {step}: the {what} ({terms})")
        self.step, self.player, self.losses = step, player, losses


class History:
    """How large each player's loss has been, block by block. `state`, for the checkpoint, holds for each player its moves, the
    largest loss of all finished blocks and of the one that goes on.

    Blocks, because a loss that doubles from step to step would never be far above the one before.
    """

    def __init__(self, limit: float, state: Mapping[str, Any] | None = None) -> None:
        self.limit = limit or math.inf
        self.state: dict[str, list[float]] = {player: list(values) for player, values in (state or {}).items()}

    def explodes(self, player: str, loss: float) -> bool:
        moves, before, now = self.state.get(player, (0, 0.0, 0.0))
        if before and abs(loss) > self.limit * before:
            return True
        moves, now = moves + 1, max(now, abs(loss))
        self.state[player] = [moves, before, now] if moves % BLOCK else [moves, max(before, now), 0.0]
        return False


class Collapse:
    """Looks at what critics have judged, each `WINDOW` times before it says anything, and says each thing once.

    A critic is sure of everything where its loss (of objectives with labels) stays below `SURE` of what guessing costs. Fakes are
    alike where they differ from one another by less than `ALIKE` of what real samples do, as thumbnails of 8×8 pixels: how
    far, on the average, each number is from its mean. A generator has a tenth of the training to get away from its start.
    """

    def __init__(self, model: System, steps: int) -> None:
        self.critics = {name: part for name, part in model.named_modules() if isinstance(part, Adversary)}
        self._grace = steps // 10
        self._sure, self._shown = ({name: deque[Any](maxlen=WINDOW) for name in self.critics} for _ in range(2))
        self._said: set[str] = set()

    def begin(self) -> None:
        """A step begins, at which nothing has been judged yet."""
        for critic in self.critics.values():
            critic.seen = None

    def measures(self) -> dict[str, float]:
        """Mean scores, and where the objective has one the Wasserstein estimate, of critics that moved at this step."""
        found: dict[str, float] = {}
        for name, critic in self.critics.items():
            if critic.seen is not None:
                real, fake = critic.seen.real_score.mean().item(), critic.seen.fake_score.mean().item()
                found |= {f"score/{name}/real": real, f"score/{name}/fake": fake}
                if critic.objective.lipschitz:
                    found[f"wasserstein/{name}"] = real - fake
        return found

    def warnings(self, step: int) -> list[str]:
        """What is to be said after `step`, in words."""
        found: dict[str, str] = {}
        for name, critic in self.critics.items():
            if critic.seen is None:
                continue
            sure, shown = self._sure[name], self._shown[name]
            if critic.objective.labels:
                sure.append(_share_of_guessing(critic, critic.seen))
                if len(sure) == WINDOW and (mean := sum(sure) / WINDOW) < SURE:
                    found[f"sure {name}"] = (
                        f"critic {name} is sure of everything: its loss is {mean:.1%} of what guessing costs, so the generator "
                        "has little to learn from it; a lower learning rate of the critic, instance-noise, label-smoothing or "
                        "the constraint zero-centered may help"
                    )
            shown.append((_thumbnails(critic.seen.real), _thumbnails(critic.seen.fake)))
            if len(shown) == WINDOW and step > self._grace and (share := _spread_shared(shown)) < ALIKE:
                found[f"alike {name}"] = (
                    f"the fakes that critic {name} sees are all alike: they differ by {share:.1%} of what real samples do. The "
                    "generator has collapsed; an earlier checkpoint, or a run with another objective or constraint, may be better"
                )
        new = [f"step {step}: {text}" for key, text in found.items() if key not in self._said]
        self._said |= found.keys()
        return new


def _share_of_guessing(critic: Adversary, seen: Seen) -> float:
    level = critic.objective.undecided
    guessing = critic.objective.critic(torch.full_like(seen.real_score, level), torch.full_like(seen.fake_score, level))
    return float(critic.objective.critic(seen.real_score, seen.fake_score) / guessing)


def _thumbnails(samples: Tensor, most: int = 16) -> Tensor:
    """Of a batch's first samples, `[N, D]`."""
    some = samples[:most].float()
    return (adaptive_avg_pool2d(some, 8) if some.dim() == 4 else some).flatten(1).cpu()


def _spread_shared(shown: deque[Any]) -> float:
    real, fake = (torch.cat(parts).std(dim=0, correction=0).mean().item() for parts in zip(*shown, strict=True))
    return fake / real if real else math.inf
