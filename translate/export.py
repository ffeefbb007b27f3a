"""Export: a trained generator becomes one self-describing `.onnx` file, or nothing at all."""

import copy
import os
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from translate.runtime.card import LUMINANCE, METADATA_KEY, Card

OPSET = 18
TOLERANCE = 2e-4
"""Largest difference from PyTorch that is let through, on values in 0..1: a twentieth of an 8-bit step."""
SIZES: Sequence[tuple[int, int, int]] = ((1, 1, 1), (1, 1, 37), (3, 7, 5), (1, 16, 16), (3, 33, 65), (1, 96, 64), (1, 127, 130))
"""Batch, height and width of the pictures of the parity gate."""


class ExportError(Exception):
    """The exported file would not do what the trained network does, so none was written."""


class Translator(nn.Module):
    """A network `[N, C, H, W]` in -1..1 behind the file's contract: `[N, H, W, 3]` in 0..1, any H and W ≥ 1.

    A network of grey pictures says so by `channels` or `out_channels` of 1: it sees the luminance, and its answer is repeated.
    """

    def __init__(self, network: nn.Module, stride: int, scale: int = 1) -> None:
        super().__init__()
        self.network, self.stride, self.scale = network, stride, scale

    def forward(self, image: Tensor, noise: Tensor | None = None) -> Tensor:
        height, width = image.shape[1], image.shape[2]
        if getattr(self.network, "channels", 3) == 1:
            image = image @ torch.tensor(LUMINANCE)[:, None]
        x = image.permute(0, 3, 1, 2) * 2 - 1
        # Repeats the border: reflection fails where the pad exceeds the picture.
        x = nn.functional.pad(x, (0, -width % self.stride, 0, -height % self.stride), mode="replicate")
        y = self.network(x) if noise is None else self.network(x, self._noise(noise, x))
        y = y[:, :, : height * self.scale, : width * self.scale]
        if getattr(self.network, "out_channels", 3) == 1:
            y = y.expand(-1, 3, -1, -1)
        return (y.permute(0, 2, 3, 1) / 2 + 0.5).clamp(0, 1)

    def _noise(self, noise: Tensor, x: Tensor) -> Tensor:
        """`[N, ⌈H / every⌉, ⌈W / every⌉, channels]`, channels first and with its border repeated as that of the picture is."""
        noisy: Any = self.network
        every = noisy.noise["every"]
        # Looked up and not padded, so that the exporter sees the picture's size in the result's
        rows, columns = (
            torch.arange(side // every).clamp(max=cells - 1) for side, cells in zip(x.shape[2:], noise.shape[1:3], strict=True)
        )
        return noise.permute(0, 3, 1, 2).index_select(2, rows).index_select(3, columns)


def export(network: nn.Module, card: Card, path: Path) -> Path:
    """Writes `network` and its card to `path`, atomically.

    Before that, ONNX Runtime must agree with PyTorch within `TOLERANCE` on every one of `SIZES` (but the single pixel, where
    the network uses statistics of the picture), and for `exact` tiling the network must keep what the card says of `reach`
    and `stride`. Raises `ExportError` otherwise; nothing is written.
    """
    network = copy.deepcopy(network).cpu().float().eval().to(memory_format=torch.contiguous_format)
    if card.tiling == "exact":
        check_reach(network, card.reach, card.stride, card.scale)
    translator = Translator(network, card.stride, card.scale).eval()
    model = _trace(translator, card).SerializeToString()
    # A picture of one pixel is constant: statistics of the picture would blow up the last bit of rounding
    check_parity(translator, model, SIZES if card.tiling == "exact" else SIZES[1:])
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(suffix=".onnx", prefix=f".{path.stem}.", dir=path.parent)
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(model)
            file.flush()
            os.fsync(file.fileno())
        partial.chmod(0o644)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def check_parity(translator: nn.Module, model: bytes, sizes: Sequence[tuple[int, int, int]] = SIZES) -> float:
    """The largest difference between ONNX Runtime and PyTorch over `sizes`. Raises `ExportError` above `TOLERANCE`."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    worst = 0.0
    for batch, height, width in sizes:
        given = {"image": rng.random((batch, height, width, 3), dtype=np.float32)}
        if (noise := getattr(translator.network, "noise", None)) is not None:
            shape = (batch, -(-height // noise["every"]), -(-width // noise["every"]), noise["channels"])
            given["noise"] = rng.random(shape, dtype=np.float32) * 2 - 1
        with torch.no_grad():
            wanted = translator(*map(torch.from_numpy, given.values())).numpy()
        (got,) = session.run(["translated"], given)
        if got.shape != wanted.shape:
            raise ExportError(f"at {batch}×{height}×{width} ONNX Runtime gives {got.shape}, PyTorch {wanted.shape}")
        difference = float(np.abs(got - wanted).max())
        if not difference <= TOLERANCE:  # NaN does not pass either
            raise ExportError(
                f"at {batch}×{height}×{width} ONNX Runtime differs from PyTorch by {difference:.2g} (> {TOLERANCE})"
            )
        worst = max(worst, difference)
    return worst


@torch.no_grad()
def check_reach(network: nn.Module, reach: int, stride: int, scale: int = 1) -> None:
    """Changes everything farther than `reach` from one cell of `stride`² pixels; the cell must come out the same.

    Raises `ExportError` where it does not, or where a shift by `stride` changes the cell.
    """
    margin = -(-reach // stride) * stride
    side = 2 * margin + 3 * stride
    generator = torch.Generator().manual_seed(0)
    channels = getattr(network, "channels", 3)
    one, other = torch.rand((2, 1, channels, side, side), generator=generator) * 2 - 1
    cell = slice(margin + stride, margin + 2 * stride)
    near = slice(cell.start - reach, cell.stop + reach)
    other[..., near, near] = one[..., near, near]

    def at(picture: Tensor, place: slice) -> Tensor:
        enlarged = slice(place.start * scale, place.stop * scale)
        return network(picture)[..., enlarged, enlarged]

    wanted = at(one, cell)
    if not torch.allclose(at(other, cell), wanted, atol=TOLERANCE):
        raise ExportError(f"the network sees farther than the card's reach of {reach} pixels: tiles would not equal the whole")
    shifted = torch.roll(one, (stride, stride), (-2, -1))
    moved = slice(cell.start + stride, cell.stop + stride)
    if not torch.allclose(at(shifted, moved), wanted, atol=TOLERANCE):
        raise ExportError(f"the network does not commute with shifts by {stride} pixels: tiles would not equal the whole")


def _trace(translator: Translator, card: Card) -> onnx.ModelProto:
    side = 2 * card.stride + 1
    dynamic = dict.fromkeys(range(3), torch.export.Dim.DYNAMIC)
    given = {"image": torch.rand(2, side, side + 1, 3)}
    if card.noise is not None:
        rows, columns = (-(-length // card.noise.every) for length in (side, side + 1))
        given["noise"] = torch.rand(2, rows, columns, card.noise.channels) * 2 - 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own internals
        try:
            program = torch.onnx.export(
                translator,
                tuple(given.values()),
                input_names=list(given),
                output_names=["translated"],
                dynamic_shapes=(dynamic,) * len(given),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
        except Exception as error:  # its errors have no common base
            raise ExportError(f"this network cannot be written as ONNX for pictures of any size: {error}") from error
    if program is None:
        raise ExportError("the ONNX exporter returned nothing")
    model = program.model_proto
    inputs = zip(model.graph.input, ("NHW", ("N", "H_noise", "W_noise")), strict=False)
    for value, names in (*inputs, (model.graph.output[0], ("N", "H_out", "W_out"))):
        for dimension, dim_name in zip(value.type.tensor_type.shape.dim, names, strict=False):
            dimension.dim_param = dim_name
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, card.model_dump_json()
    onnx.checker.check_model(model)
    return model
