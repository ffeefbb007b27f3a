"""In place of the reference, which tests do not have: its interface, CycleGAN and pix2pix as in the papers, in its order."""

import itertools
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss

from tests import reference_layout


def write(folder: Path) -> Path:
    """A folder that looks like a checkout of the reference."""
    here = "from tests.bench.stand_in import "
    for name, text in {
        "models/__init__.py": here + "create_model, get_option_setter\n",
        "models/networks.py": "",
        "options/__init__.py": "",
        "options/train_options.py": here + "TrainOptions\n",
        "util/__init__.py": "",
        "util/image_pool.py": "import random\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


class TrainOptions:
    def initialize(self, parser: ArgumentParser) -> ArgumentParser:
        for name, default in (("netG", ""), ("dataroot", ""), ("model", ""), ("checkpoints_dir", "")):
            parser.add_argument(f"--{name}", default=default)
        for name, default in (("ngf", 64), ("ndf", 64), ("n_epochs", 100), ("n_epochs_decay", 100), ("pool_size", 50)):
            parser.add_argument(f"--{name}", type=int, default=default)
        parser.add_argument("--no_dropout", action="store_true")
        return parser


def get_option_setter(name: str) -> Callable[[ArgumentParser, bool], ArgumentParser]:
    return lambda parser, training: parser


def create_model(options: Namespace) -> "Model":
    return {"cycle_gan": CycleGAN, "pix2pix": Pix2Pix}[options.model](options)


def pool(size: int) -> Callable[[Tensor], Tensor]:
    held: list[Tensor] = []

    def query(fake: Tensor) -> Tensor:
        chance, fake = sys.modules["util.image_pool"].random, fake.detach()
        if len(held) < size:
            held.append(fake)
        elif chance.uniform(0, 1) > 0.5:
            place = chance.randint(0, size - 1)
            fake, held[place] = held[place], fake
        return fake

    return query


class Model:
    def __init__(self, options: Namespace, generators: list[nn.Module], critics: list[nn.Module]) -> None:
        self.options, self.losses, self.epoch = options, dict[str, Tensor](), 0
        both = (itertools.chain(*(n.parameters() for n in nets)) for nets in (generators, critics))
        self.optimizers = [torch.optim.Adam(parameters, 2e-4, (0.5, 0.999)) for parameters in both]

    def setup(self, options: Namespace) -> None: ...

    def update_learning_rate(self) -> None:
        self.epoch += 1
        falling = max(0, self.epoch - self.options.n_epochs) / self.options.n_epochs_decay
        for optimiser in self.optimizers:
            optimiser.param_groups[0]["lr"] = 2e-4 * (1 - falling)

    def set_input(self, given: dict[str, Any]) -> None:
        self.a, self.b = given["A"], given["B"]

    def get_current_losses(self) -> dict[str, float]:
        return {name: loss.item() for name, loss in self.losses.items()}

    def move(self, optimiser: int, losses: dict[str, Tensor], share: float = 1) -> None:
        self.losses |= losses
        self.optimizers[optimiser].zero_grad()
        (share * sum(losses.values())).backward()  # type: ignore[union-attr]
        self.optimizers[optimiser].step()


class CycleGAN(Model):
    identity = 0.5

    def __init__(self, options: Namespace) -> None:
        blocks = int(options.netG.removeprefix("resnet_").removesuffix("blocks"))
        self.netG_A, self.netG_B = (reference_layout.resnet(blocks, "instance", options.ngf) for _ in range(2))
        self.netD_A, self.netD_B = (reference_layout.patchgan("instance", 3, options.ndf) for _ in range(2))
        super().__init__(options, [self.netG_A, self.netG_B], [self.netD_A, self.netD_B])
        self.pool_a, self.pool_b = pool(options.pool_size), pool(options.pool_size)

    def optimize_parameters(self) -> None:
        a, b, fake_a, fake_b = self.a, self.b, self.netG_B(self.b), self.netG_A(self.a)
        critics = nn.ModuleList([self.netD_A, self.netD_B]).requires_grad_(False)
        losses = {
            "G_A": ((self.netD_A(fake_b) - 1) ** 2).mean(),
            "G_B": ((self.netD_B(fake_a) - 1) ** 2).mean(),
            "cycle_A": 10 * l1_loss(self.netG_B(fake_b), a),
            "cycle_B": 10 * l1_loss(self.netG_A(fake_a), b),
            "idt_A": 10 * self.identity * l1_loss(self.netG_A(b), b),
            "idt_B": 10 * self.identity * l1_loss(self.netG_B(a), a),
        }
        self.move(0, losses)
        critics.requires_grad_(True)
        sides = {"D_A": (self.netD_A, b, self.pool_b(fake_b)), "D_B": (self.netD_B, a, self.pool_a(fake_a))}
        self.move(1, {name: ((D(real) - 1).square().mean() + D(fake).square().mean()) / 2
                      for name, (D, real, fake) in sides.items()})  # fmt: skip


class Pix2Pix(Model):
    def __init__(self, options: Namespace) -> None:
        levels = int(options.netG.removeprefix("unet_")).bit_length() - 1
        self.netG = reference_layout.unet(levels, "batch", options.ngf)
        self.netD = reference_layout.patchgan("batch", 6, options.ndf)
        super().__init__(options, [self.netG], [self.netD])

    def optimize_parameters(self) -> None:
        fake = self.netG(self.a)

        def score(picture: Tensor, real: bool) -> Tensor:
            found = self.netD(torch.cat([self.a, picture], 1))
            return binary_cross_entropy_with_logits(found, torch.full_like(found, float(real)))

        self.move(1, {"D_fake": score(fake.detach(), False), "D_real": score(self.b, True)}, 0.5)
        self.move(0, {"G_GAN": score(fake, True), "G_L1": 100 * l1_loss(fake, self.b)})
