"""One step of training: every player whose turn it is moves once, on the same samples and on fakes of the generator as it was."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_, get_total_norm
from torch.optim import AdamW, Optimizer, RMSprop

from translate.gan.adversary import Adversary
from translate.models import System
from translate.training.processes import average
from translate.training.recipe import Recipe
from translate.training.shards import whole
from translate.training.watch import Diverged, History

SMALL = 1 << 16
"""Numbers of a parameter up to which its gradient is looked at in every step. What is not finite in a backward pass comes down to
a network's first layer, which is small; to read all gradients would cost a step of pix2pix some per cent."""


class Player:
    """Who moves: its parameters and its optimiser, and what is prepared once so that steps need not."""

    def __init__(self, name: str, module: nn.Module, recipe: Recipe, device: torch.device) -> None:
        self.name, self.options = name, recipe.optimisers[name]
        self.parameters = list(module.parameters())
        self.watched = [parameter for parameter in self.parameters if parameter.numel() <= SMALL] or self.parameters
        self.critics = [part for part in module.modules() if isinstance(part, Adversary)]
        self.optimiser: Optimizer
        lr, betas, decay = self.options.lr, self.options.betas, self.options.weight_decay
        if self.options.algorithm == "rmsprop":
            self.optimiser = RMSprop(self.parameters, lr, betas[1], weight_decay=decay)
        else:
            self.optimiser = AdamW(self.parameters, lr, betas, weight_decay=decay, fused=device.type != "mps")

    def move(self, rate: float) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        for critic in self.critics:
            critic.after_step()


class Step:
    """Calling it trains a step, counted from 0, on `recipe.accumulate` batches, and gives the losses of those who moved: means
    over the samples of all processes.

    Raises `Diverged`, before the player in question moves, where its loss or its gradient is not finite or its loss explodes.
    """

    def __init__(self, recipe: Recipe, fabric: Fabric, model: System) -> None:
        self.recipe, self.fabric, self.model = recipe, fabric, model
        self.players = [Player(name, module, recipe, fabric.device) for name, module in model.players.items()]
        self.history = History(recipe.explosion)

    @property
    def optimisers(self) -> dict[str, Optimizer]:
        return {player.name: player.optimiser for player in self.players}

    def rates(self, step: int) -> dict[str, float]:
        """The learning rate of each player."""
        return {player.name: player.options.learning_rate(step, self.recipe.steps) for player in self.players}

    def __call__(self, batches: Sequence[Any], step: int) -> dict[str, float]:
        logged: dict[str, float] = {}
        outs: list[Any] = []  # shared by all players; made one by one, so that who moves first needs memory for one alone
        for player in self.players:
            if (step + 1) % player.options.every:
                continue
            player.optimiser.zero_grad()
            names, told = self._differentiate(player, batches, outs)
            if not names:  # it waits, as a generator does while its critic is trained in advance
                continue
            told = average(self.fabric, player.parameters, told)
            norm = self._norm(player)
            *values, size = torch.cat((told, norm.reshape(1))).tolist()  # the one time that a player waits for the device
            losses = dict(zip(names, values, strict=True))
            self._check(player.name, losses, size, step + 1)
            player.move(player.options.learning_rate(step, self.recipe.steps))
            logged |= {f"{player.name}/{name}": value for name, value in losses.items()}
        return logged

    def _differentiate(self, player: Player, batches: Sequence[Any], outs: list[Any]) -> tuple[list[str], Tensor]:
        """The gradient of the player's mean loss over the batches, left in its parameters; and its terms."""
        names: list[str] = []
        told = torch.zeros((), device=self.fabric.device)
        for k, batch in enumerate(batches):
            if k == len(outs):
                with self.fabric.autocast():
                    outs.append(self.model(batch))
            with self.fabric.autocast():
                losses = self.model.losses(player.name, batch, outs[k])
            if losses:
                names = list(losses)
                terms = torch.stack(tuple(losses.values()))
                # The gradient of their sum, each with the batch's share
                self.fabric.backward(terms, terms.new_full(terms.shape, 1 / len(batches)))
                told = told + terms.detach() / len(batches)
        return names, told

    def _norm(self, player: Player) -> Tensor:
        if self.recipe.clip:
            return whole(clip_grad_norm_(player.parameters, self.recipe.clip))
        return whole(get_total_norm([parameter.grad for parameter in player.watched if parameter.grad is not None]))

    def _check(self, player: str, losses: Mapping[str, float], norm: float, step: int) -> None:
        total = sum(losses.values())
        if not math.isfinite(total):
            raise Diverged(step, player, f"loss of the {player} is {total}", losses)
        if not math.isfinite(norm):
            raise Diverged(step, player, f"gradient of the {player} is {norm}", losses)
        if self.history.explodes(player, total):
            what = f"loss of the {player} is {total:.6g}, over {self.history.limit:g} times the largest one before"
            raise Diverged(step, player, what, losses)
