"""Blocks that several networks share."""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn


class InstanceNorm(nn.GroupNorm):
    """Over the places of one channel of one sample (Ulyanov et al. 2016), not affine.

    As group normalisation with one channel a group, because on a CPU at batch 1 the backward pass of InstanceNorm2d returns
    wrong values where the gradient is channels_last. Where samples are channels_last, group normalisation's own backward pass
    takes 20 times as long as any other's, so that in training on a CPU each is normalised as a batch of one.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
        if not (self.training and last and x.device.type == "cpu"):
            return super().forward(x)
        samples = x.split(1) if len(x) > 1 else [x]  # the gradient of a split is put together again, which takes a copy
        normed = [nn.functional.batch_norm(sample, None, None, training=True, eps=self.eps) for sample in samples]
        return torch.cat(normed) if len(x) > 1 else normed[0]


NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "instance": InstanceNorm,
    "layer": lambda channels: nn.GroupNorm(1, channels),
    "none": lambda channels: nn.Identity(),
}


def norm(kind: str, channels: int) -> nn.Module:
    """A normalisation of `[N, channels, H, W]`:

    - `batch`: over samples and places (Ioffe & Szegedy 2015), affine, with running statistics for `eval`;
    - `instance`: `InstanceNorm`, as in pix2pix's and CycleGAN's PyTorch code. Needs more than one place;
    - `layer`: over all of one sample (Ba et al. 2016), with one scale and one shift for each channel, so that pictures may
      have any size;
    - `none`.
    """
    check_choice(kind, NORMS, "norm")
    return NORMS[kind](channels)


class SampleBatchNorm(nn.BatchNorm2d):
    """Batch normalisation in training. At test each sample is normalised with statistics of its own: what pix2pix, trained with
    one picture at a time, does by never leaving training (Isola et al. 2017, section 3.4)."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return super().forward(x)
        return nn.functional.group_norm(x, self.num_features, self.weight, self.bias, self.eps)


def translator_norm(kind: str, channels: int) -> nn.Module:
    """A `norm` for networks that translate pictures: what they make of one never depends on others, `batch` neither."""
    return SampleBatchNorm(channels) if kind == "batch" else norm(kind, channels)


def biased(kind: str) -> bool:
    """Whether a layer before this norm needs a bias: a mean taken channel by channel removes it again."""
    check_choice(kind, NORMS, "norm")
    return kind not in ("batch", "instance")


class Halving(nn.Conv2d):
    """A 4×4 convolution of stride 2 with a border of 1: `[N, inputs, 2H, 2W]` to `[N, outputs, H, W]`.

    In training on a CPU it is a matrix product where few places share many weights, as at the bottom of a U-Net: oneDNN takes
    up to five times as long to convolve 2×2 or 4×4 of them, most of it to rearrange the weights. The same sums in another order.
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 4, stride=2, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2] // 2, x.shape[3] // 2
        if not (self.training and _is_product(x, len(x) * height * width, self.weight)):
            return super().forward(x)
        columns = nn.functional.unfold(_exact(x), 4, stride=2, padding=1)
        y = nn.functional.linear(columns.mT, self.weight.flatten(1), self.bias)
        # In the order of a convolution's: what looks like channels_last for one picture alone, torch 2.15's batch normalisation
        # takes for it, and returns wrong gradients where those that it is given are not
        return y.mT.contiguous().unflatten(2, (height, width))


class Doubling(nn.ConvTranspose2d):
    """A 4×4 transposed convolution of stride 2: `[N, inputs, H, W]` to `[N, outputs, 2H, 2W]`; a product where `Halving` is."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 4, stride=2, padding=1, bias=bias)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        height, width = x.shape[2:]
        if not (self.training and _is_product(x, len(x) * height * width, self.weight)):
            return super().forward(x, output_size)
        columns = nn.functional.linear(x.flatten(2).mT, self.weight.flatten(1).mT)
        y = nn.functional.fold(_exact(columns.mT), (2 * height, 2 * width), 4, stride=2, padding=1)
        return (y if self.bias is None else y + self.bias[:, None, None]).to(columns.dtype)


def _is_product(x: Tensor, places: int, weight: Tensor) -> bool:
    return x.device.type == "cpu" and places <= 256 and weight.numel() >= 1 << 18


def _exact(x: Tensor) -> Tensor:
    """What is summed over the places that overlap is summed in float32 at least, as a convolution does."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def upsampling(kind: str, inputs: int, outputs: int, kernel: int = 4, bias: bool = True) -> nn.Module:
    """`[N, inputs, H, W]` to `[N, outputs, 2H, 2W]`:

    - `transposed`: a transposed convolution of stride 2. Kernel 4 covers every pixel but the border's by 2×2 places, kernel 3
      by 1, 2 or 4 in turn: the weights have to learn to undo that, and what they leave is a checkerboard;
    - `resize`: nearest neighbour, then a 3×3 convolution, which covers all alike (Odena et al. 2016), even at the border,
      which is repeated.
    """
    check_choice(kind, ("transposed", "resize"), "upsample")
    if kind == "transposed":
        return nn.ConvTranspose2d(inputs, outputs, kernel, stride=2, padding=1, output_padding=kernel % 2, bias=bias)
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="replicate", bias=bias)
    return nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), convolution)


def kept(noise: Tensor, dropout: float, dtype: torch.dtype) -> Tensor:
    """What dropout multiplies by: 0 where uniform noise in -1..1 is below 2·dropout − 1, else 1 / (1 − dropout)."""
    return (noise >= 2 * dropout - 1).to(dtype) / (1 - dropout)


def halvings(size: int) -> tuple[int, int]:
    """How often a square of `size` pixels is halved, and what is left: 4 to 7 pixels (64 → 4 times, 4; 28 → 2 times, 7)."""
    times = max(size // 4, 1).bit_length() - 1
    if times < 1 or size % 2**times:
        raise ValueError(
            f"size {size} cannot be halved down to 4 to 7 pixels; take 8, 16, 28, 32, 64 or 128, or pad to one of them"
        )
    return times, size >> times


def initialise(module: nn.Module) -> None:
    """For `network.apply`: weights from N(0, 0.02), biases 0, scales of norms from N(1, 0.02) (Radford et al. 2016, section 4;
    Isola et al. 2017, appendix 6.2)."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0, 0.02)
    elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm) and module.affine:
        nn.init.normal_(module.weight, 1, 0.02)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)


def check_samples(x: Tensor, shape: Sequence[int], what: str) -> None:
    """Raises `ValueError` unless `x` is `[N, *shape]`."""
    if x.shape[1:] != tuple(shape):
        wanted = ", ".join(["N", *map(str, shape)])
        raise ValueError(f"{what} has to be [{wanted}], not {list(x.shape)}")


def check_choice(kind: str, choices: Iterable[str], what: str) -> None:
    """Raises `ValueError`, listing the choices, where `kind` is none of them."""
    if kind not in choices:
        raise ValueError(f"unknown {what} {kind!r}; choose from {', '.join(choices)}")


def check_counts(what: str, **counts: int) -> None:
    """Raises `ValueError`, naming it, for a count below 1."""
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{what}: {name} has to be 1 or more, not {count}")


class Residual(nn.Module):
    """Residual block of two 3×3 convolutions without normalisation (Lim et al. 2017, EDSR, fig. 2c).

    `[N, C, H, W]` to the same shape. One output pixel depends on 2 pixels of context on each side.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        # Each block starts as the identity, so depth does not scale the activations and no normalisation is needed.
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(nn.functional.relu(self.first(x)))
