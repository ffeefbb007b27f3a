"""Migration: generators that the reference PyTorch implementation of CycleGAN and pix2pix has trained, as networks of ours.

It saves each network as a bare state dict, `<epoch>_net_G.pth`, whose keys are places in nested `nn.Sequential`s. So the file
itself tells architecture, norm and width; what it cannot tell is whether a U-Net had dropout, and how it is meant to be run:

- as the reference's test script runs it: each picture is normalised with statistics of its own, BatchNorm too, and dropout
  goes on: it becomes the file's noise;
- as with its `--eval`: BatchNorm takes the running statistics, which makes it a scale and a shift, folded into the convolution
  before it; there is no dropout.
"""

import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from translate.gan.networks import ResNet, UNet

State: TypeAlias = Mapping[str, Tensor]
ARCHS = ("resnet_9blocks", "resnet_6blocks", "unet_256", "unet_128")
NORMS = ("instance", "batch", "none")
EPSILON = 1e-5
"""Of the reference's norms, and of ours."""


class Place(NamedTuple):
    """Where a convolution and the norm behind it stand, as beginnings of keys."""

    convolution: str
    norm: str | None
    joined: bool = False
    """It sees an encoder's output and what comes from below: there in this order, here in the other."""


@dataclass(frozen=True)
class Layout:
    """What a state dict tells of its network."""

    arch: str
    norm: str
    dropout: bool
    """Of a ResNet: its blocks hold dropout, which moves the keys behind it. A U-Net's leaves no trace."""

    @property
    def places(self) -> list[Place]:
        """From input to output, down and then up."""
        kind, _, size = self.arch.partition("_")
        return list(_unet(_LEVELS[size]) if kind == "unet" else _resnet(int(size.removesuffix("blocks")), self.dropout))


_LEVELS = {"256": 8, "128": 7}


def read(path: Path) -> dict[str, Tensor]:
    """The state dict in a `.pth` file, without what DataParallel and torch.compile put before its keys.

    Raises `ValueError` where the file holds none. Nothing in the file is executed.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, ValueError) as error:
        # What torch says is long, and of a whole module only what runs the code in the file
        raise ValueError(
            f"{path} is no file of weights alone, as the reference saves them: it is damaged, or of another kind, or holds a "
            "whole module, of which torch.save(module.state_dict(), …) makes one"
        ) from error
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        keys = ", ".join(map(str, list(state)[:5])) if isinstance(state, Mapping) else ""
        held = f"a dictionary of {keys or 'nothing'}" if isinstance(state, Mapping) else type(state).__name__
        raise ValueError(
            f"{path} holds {held}, not the weights of one network: give <epoch>_net_G.pth, as the reference saves it"
        )
    for prefix in ("module.", "_orig_mod."):
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def recognise(state: State, arch: str | None = None, norm: str | None = None) -> Layout:
    """Architecture and norm that the keys tell. Raises `ValueError` where they tell of no generator, or not of the given one."""
    dropout = False
    if "model.model.0.weight" in state:
        levels = max(key.count("3.model.") for key in state) + 2
        found = next((f"unet_{size}" for size, known in _LEVELS.items() if known == levels), f"U-Net of {levels} levels")
    elif blocks := len({key.partition(".conv_block.")[0] for key in state if ".conv_block." in key}):
        found = f"resnet_{blocks}blocks"
        dropout = any(key.endswith(".conv_block.6.weight") and value.dim() == 4 for key, value in state.items())
    elif "model.0.weight" in state or "net.0.weight" in state:
        raise ValueError("these are the weights of a discriminator (net_D): give a generator's, net_G, net_G_A or net_G_B")
    else:
        raise ValueError(f"these are no generator's weights; the first of the keys are {_some(state)}")
    if arch not in (None, *ARCHS):
        raise ValueError(f"unknown --arch {arch}; choose from {', '.join(ARCHS)}")
    if arch not in (None, found):
        raise ValueError(f"these are the weights of a {found}, not of a {arch}: give --arch {found}")
    if found not in ARCHS:
        raise ValueError(f"these are the weights of a {found}; what can be taken over is {', '.join(ARCHS)}")
    second = Layout(found, "none", dropout).places[1]
    norms = {f"{second.norm}.weight": "batch", f"{second.convolution}.bias": "instance"}
    seen = next((kind for key, kind in norms.items() if key in state), "none")
    if norm not in (None, seen):
        raise ValueError(f"this {found} was trained with --norm {seen}, not {norm}: give --norm {seen}")
    return Layout(found, seen, dropout)


def generator(state: State, layout: Layout, dropout: bool = True, evaluate: bool = False) -> nn.Module:
    """The network with these weights. Raises `ValueError`, with their names, for weights that miss, are too many, or do not fit.

    `dropout` false: there was none in training, or it shall not go on. `evaluate`: as with the reference's `--eval`.
    """
    first, last = (state.get(f"{place.convolution}.weight") for place in (layout.places[0], layout.places[-1]))
    if first is None or last is None or first.dim() != 4 or last.dim() != 4:
        raise ValueError(f"the first or the last convolution of a {layout.arch} is missing; the keys begin {_some(state)}")
    inputs, outputs = first.shape[1], last.shape[1 if layout.arch.startswith("unet") else 0]
    if {inputs, outputs} - {1, 3}:
        raise ValueError(f"this network makes {outputs} channels out of {inputs}: pictures have 3, or 1 where they are grey")
    fixed = evaluate and layout.norm == "batch"
    network = build(
        layout,
        width=first.shape[0],
        channels=inputs,
        out_channels=outputs,
        norm="none" if fixed else layout.norm,
        dropout=dropout and not evaluate,
    )
    _check(state, layout, network)
    load(network, layout, state)
    return network.eval()


def load(network: nn.Module, layout: Layout, state: State) -> None:
    """Copies the weights of a state dict that is known to fit into a network that `build` made."""
    for place, convolution, norm in pairs(network, layout):
        weight, bias = _ordered(state[f"{place.convolution}.weight"], place), state.get(f"{place.convolution}.bias")
        scale_shift = [state[f"{place.norm}.{name}"] for name in _AFFINE] if place.norm and layout.norm == "batch" else []
        if scale_shift and norm is None:
            weight, bias = _folded(weight, bias, scale_shift, isinstance(convolution, nn.ConvTranspose2d))
        elif norm is not None:
            for name, value in zip(_AFFINE, scale_shift, strict=True):
                getattr(norm, name).data.copy_(value)
        convolution.weight.data.copy_(weight)
        if convolution.bias is not None:  # where there is none, InstanceNorm takes away what it would add
            convolution.bias.data.zero_()
            convolution.bias.data += 0 if bias is None else bias


def build(
    layout: Layout, width: int, channels: int = 3, out_channels: int = 3, norm: str | None = None, dropout: bool = False
) -> nn.Module:
    """A fresh network of that architecture. `norm` where it is not the layout's."""
    norm = norm or layout.norm
    kind, _, size = layout.arch.partition("_")
    if kind == "resnet":
        dropped = 0.5 if dropout and layout.dropout else 0
        return ResNet(channels, out_channels, width, int(size.removesuffix("blocks")), norm, dropout=dropped)
    levels = _LEVELS[size]
    # The paper's code drops in the three decoder levels from the bottom on, the reference in all 8·width levels but the bottom
    noisy = tuple(range(2, levels - 3))
    return UNet(channels, out_channels, width, levels, norm, dropout=0.5 if dropout else 0, noisy=noisy)


def pairs(network: nn.Module, layout: Layout) -> Iterator[tuple[Place, nn.Conv2d | nn.ConvTranspose2d, nn.Module | None]]:
    """Where each convolution of `network` stands in the reference's state dict, and the BatchNorm behind it, if there is one."""
    convolutions = [part for part in network.modules() if isinstance(part, nn.Conv2d | nn.ConvTranspose2d)]
    norms = iter([part for part in network.modules() if isinstance(part, nn.BatchNorm2d)])
    for place, convolution in zip(layout.places, convolutions, strict=True):
        yield place, convolution, next(norms, None) if place.norm else None


def state_of(network: nn.Module, layout: Layout) -> dict[str, Tensor]:
    """The weights of a network that `build` made, in the reference's layout, which has no bias where BatchNorm follows."""
    state: dict[str, Tensor] = {}
    for place, convolution, norm in pairs(network, layout):
        state[f"{place.convolution}.weight"] = _ordered(convolution.weight.data, place).clone()
        if layout.norm == "instance" or place == layout.places[-1]:
            bias = torch.zeros(convolution.out_channels) if convolution.bias is None else convolution.bias.data
            state[f"{place.convolution}.bias"] = bias.clone()
        if norm is not None:
            state |= {f"{place.norm}.{name}": value.clone() for name, value in norm.state_dict().items()}
    return state


def _check(state: State, layout: Layout, network: nn.Module) -> None:
    wanted: dict[str, tuple[int, ...]] = {}
    idle: set[str] = set()
    for place, convolution, _ in pairs(network, layout):
        outputs = convolution.out_channels
        wanted[f"{place.convolution}.weight"] = tuple(convolution.weight.shape)
        if layout.norm == "instance" or place == layout.places[-1]:
            wanted[f"{place.convolution}.bias"] = (outputs,)
        if place.norm and layout.norm == "batch":
            wanted |= {f"{place.norm}.{name}": (outputs,) for name in _AFFINE}
        elif place.norm:  # of InstanceNorm, which kept running statistics before PyTorch 0.4, and never used them
            idle |= {f"{place.norm}.{name}" for name in _RUNNING}
        idle.add(f"{place.norm}.num_batches_tracked")
    missing, extra = wanted.keys() - state.keys(), state.keys() - wanted.keys() - idle
    if missing or extra:
        parts = [f"{what} {_some(sorted(keys))}" for what, keys in (("misses", missing), ("has besides", extra)) if keys]
        raise ValueError(f"this is no whole {layout.arch} with --norm {layout.norm}: it {' and '.join(parts)}")
    for key, shape in wanted.items():
        if tuple(state[key].shape) != shape:
            raise ValueError(f"{key} is {list(state[key].shape)}, but in a {layout.arch} of this width it is {list(shape)}")
        if not state[key].isfinite().all():
            raise ValueError(f"{key} holds numbers that are infinite or none at all: that training had diverged")


_RUNNING = ("running_mean", "running_var")
_AFFINE = ("weight", "bias", *_RUNNING)


def _ordered(weight: Tensor, place: Place) -> Tensor:
    """Its own inverse, for the two halves are equally many."""
    return weight.roll(len(weight) // 2, 0) if place.joined else weight


def _folded(weight: Tensor, bias: Tensor | None, norm: list[Tensor], transposed: bool) -> tuple[Tensor, Tensor]:
    """A convolution and the BatchNorm behind it, with fixed statistics, as one convolution."""
    gain, shift, mean, variance = (value.double() for value in norm)
    gain = gain / (variance + EPSILON).sqrt()
    along = (1, -1, 1, 1) if transposed else (-1, 1, 1, 1)
    before = 0 if bias is None else bias.double()
    return (weight * gain.view(along)).float(), (shift + (before - mean) * gain).float()


def _resnet(blocks: int, dropout: bool) -> Iterator[Place]:
    yield from (Place(f"model.{place}", f"model.{place + 1}") for place in (1, 4, 7))
    for block in range(10, 10 + blocks):
        # reflection, convolution, norm, ReLU, perhaps dropout, and the first three again
        for place in (1, 6 if dropout else 5):
            yield Place(f"model.{block}.conv_block.{place}", f"model.{block}.conv_block.{place + 1}")
    up = 10 + blocks
    yield from (Place(f"model.{place}", f"model.{place + 1}") for place in (up, up + 3))
    yield Place(f"model.{up + 7}", None)


def _unet(levels: int) -> Iterator[Place]:
    # Each level is a Sequential in the middle of the next outer one: of the outermost at 1, of the others at 3.
    inside = ["model.model.", *("model.model.1.model." + "3.model." * depth for depth in range(levels - 1))]
    yield Place(inside[0] + "0", None)
    yield from (Place(level + "1", level + "2") for level in inside[1:-1])
    yield Place(inside[-1] + "1", None)
    yield Place(inside[-1] + "3", inside[-1] + "4")
    yield from (Place(level + "5", level + "6", joined=True) for level in reversed(inside[1:-1]))
    yield Place(inside[0] + "3", None, joined=True)


def _some(keys: Iterator[str] | State | list[str], most: int = 3) -> str:
    keys = list(keys)
    return ", ".join(keys[:most]) + (f" and {len(keys) - most} more" if len(keys) > most else "")
