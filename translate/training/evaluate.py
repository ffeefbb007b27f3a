"""Measures of translated pictures against their targets."""

from collections.abc import Iterable
from typing import Protocol

import torch
from torch import Tensor, nn
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure


class Paired(Protocol):
    """One picture: x and y, `[1, 3, H, W]` in -1..1."""

    @property
    def x(self) -> Tensor: ...

    @property
    def y(self) -> Tensor: ...


@torch.no_grad()
def translate(network: nn.Module, x: Tensor) -> Tensor:
    """A picture of any size through a network that wants multiples of its stride; in and out in -1..1, clamped."""
    height, width = x.shape[-2:]
    stride = int(getattr(network, "stride", 1))
    padded = nn.functional.pad(x, (0, -width % stride, 0, -height % stride), mode="replicate")
    return network(padded)[..., :height, :width].float().clamp(-1, 1)


def quality(network: nn.Module, pictures: Iterable[Paired], device: torch.device) -> dict[str, float]:
    """Mean PSNR (dB) and SSIM over whole pictures, each rounded to 8 bits as a saved file would be."""
    psnr, ssim = [], []
    for picture in pictures:
        fake, real = (_to_bytes(t) for t in (translate(network, picture.x.to(device)), picture.y.to(device)))
        psnr.append(float(peak_signal_noise_ratio(fake, real, data_range=1.0).clamp(max=100)))
        ssim.append(float(structural_similarity_index_measure(fake, real, data_range=1.0)))  # type: ignore[arg-type]
    return {"psnr": sum(psnr) / len(psnr), "ssim": sum(ssim) / len(ssim)}


def _to_bytes(picture: Tensor) -> Tensor:
    return ((picture + 1) * 127.5).round() / 255
