"""Measures of translated pictures against their targets, and the sheet that shows them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from translate.metrics.fidelity import psnr, ssim
from translate.models import System

Pixels = NDArray[np.uint8]


class Judge(Protocol):
    """How the loop measures what it trains. `network` is the averaged copy of `model.translator`."""

    @property
    def measures(self) -> Sequence[str]:
        """The names of the scores; none where there is nothing to measure on."""

    def scores(self, model: System, network: nn.Module, device: torch.device) -> dict[str, float]: ...

    def sheet(self, model: System, network: nn.Module, device: torch.device) -> Pixels:
        """A picture `[H, W, 3]` to look at, of the same inputs each time."""


class Paired(Protocol):
    """One picture: x and y, `[1, C, H, W]` in -1..1."""

    @property
    def x(self) -> Tensor: ...

    @property
    def y(self) -> Tensor: ...


@dataclass(frozen=True)
class Translations:
    """Judges a translator by held-out pictures with known targets, in named sets."""

    sets: Mapping[str, Sequence[Paired]]

    @property
    def measures(self) -> list[str]:
        return [f"{name}/{key}" for name in self.sets for key in ("psnr", "ssim")]

    def scores(self, model: System, network: nn.Module, device: torch.device) -> dict[str, float]:
        return {
            f"{name}/{key}": value
            for name, pictures in self.sets.items()
            for key, value in quality(network, pictures, device).items()
        }

    def sheet(self, model: System, network: nn.Module, device: torch.device) -> Pixels:
        """Rows of source, translation and target."""
        rows = []
        for pictures in self.sets.values():
            for picture in pictures[:2]:
                shown = (picture.x.to(device), translate(network, picture.x.to(device)), picture.y.to(device))
                strip = torch.cat([t[0, :, :320, :320].expand(3, -1, -1) for t in shown], dim=2)
                rows.append(((strip + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy())
        width = max(row.shape[1] for row in rows)
        return np.concatenate([np.pad(row, ((0, 4), (0, width - row.shape[1]), (0, 0))) for row in rows])


@dataclass(frozen=True)
class BothWays:
    """Judges two translators between domains by held-out pictures: known pairs, and pictures without a partner.

    `cycle` is −‖F(G(x)) − x‖₁ − ‖G(F(y)) − y‖₁ in grey levels: what is lost on the way there and back, and no measure of what
    the translations look like.
    """

    known: Sequence[Paired]
    alone: Sequence[Paired]

    @property
    def measures(self) -> list[str]:
        known = [f"{way}/{key}" for way in ("there", "back") for key in ("psnr", "ssim")] if self.known else []
        return [*known, "cycle"] if self.alone else known

    def scores(self, model: System, network: nn.Module, device: torch.device) -> dict[str, float]:
        ways: Mapping[str, nn.Module] = dict(network.named_children())
        found: dict[str, float] = {}
        if self.known:
            turned = [_Turned(pair.y, pair.x) for pair in self.known]
            for way, pairs in (("there", self.known), ("back", turned)):
                found |= {f"{way}/{key}": value for key, value in quality(ways[way], pairs, device).items()}
        if self.alone:
            lost, there, back = 0.0, ways["there"], ways["back"]
            for picture in self.alone:
                for first, second, side in ((there, back, picture.x), (back, there, picture.y)):
                    again = translate(second, translate(first, side.to(device)))
                    lost += float((again.cpu() - side).abs().mean()) * 127.5 / len(self.alone)
            found["cycle"] = -lost
        return found

    def sheet(self, model: System, network: nn.Module, device: torch.device) -> Pixels:
        """Rows of x, G(x), F(G(x)) and of y, F(y), G(F(y))."""
        ways, rows = dict(network.named_children()), []
        for there, back, side in (("there", "back", "x"), ("back", "there", "y")):
            for picture in self.alone[:4]:
                start = getattr(picture, side).to(device)
                middle = translate(ways[there], start)
                shown = (start, middle, translate(ways[back], middle))
                rows.append(torch.cat([t[0].expand(3, -1, -1) for t in shown], dim=2))
        sheet = torch.cat(rows, dim=1)
        return ((sheet + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()


class _Turned(NamedTuple):
    x: Tensor
    y: Tensor


@torch.no_grad()
def translate(network: nn.Module, x: Tensor, seed: int = 0) -> Tensor:
    """A picture of any size through a network that wants multiples of its stride; in and out in -1..1, clamped.

    A network with noise draws it from `seed`, so that its pictures are the same at every measurement.
    """
    height, width = x.shape[-2:]
    stride = int(getattr(network, "stride", 1))
    padded = nn.functional.pad(x, (0, -width % stride, 0, -height % stride), mode="replicate")
    given = [padded] if getattr(network, "noise", None) is None else [padded, noise_for(network, padded, seed)]
    return network(*given)[..., :height, :width].float().clamp(-1, 1)


def noise_for(network: Any, x: Tensor, seed: int) -> Tensor:
    """Uniform noise, `[N, channels, H / every, W / every]` in -1..1, for `x` `[N, C, H, W]`."""
    every = network.noise["every"]
    shape = (len(x), network.noise["channels"], x.shape[-2] // every, x.shape[-1] // every)
    drawn = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return drawn.to(x.device)


def quality(network: nn.Module, pictures: Iterable[Paired], device: torch.device) -> dict[str, float]:
    """Mean PSNR (dB) and SSIM over whole pictures, each rounded to 8 bits as a saved file would be."""
    found: dict[str, list[float]] = {"psnr": [], "ssim": []}
    for picture in pictures:
        fake, real = (_to_bytes(t) for t in (translate(network, picture.x.to(device)), picture.y.to(device)))
        found["psnr"].append(psnr(fake, real))
        found["ssim"].append(ssim(fake, real))
    return {name: sum(values) / len(values) for name, values in found.items()}


def _to_bytes(picture: Tensor) -> Tensor:
    return ((picture + 1) * 127.5).round() / 255
