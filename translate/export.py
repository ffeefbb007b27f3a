"""Export: a trained generator becomes one self-describing `.onnx` file, or nothing at all."""

import copy
import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from translate.gan.networks.statistics import Tape, on_tape
from translate.runtime.card import LUMINANCE, METADATA_KEY, STAGES_KEY, Card
from translate.stages import plan

OPSET = 18
TOLERANCE = 2e-4
"""Largest difference from PyTorch that is let through, on values in 0..1: a twentieth of an 8-bit step."""
SIZES: Sequence[tuple[int, int, int]] = ((1, 1, 1), (1, 1, 37), (3, 7, 5), (1, 16, 16), (3, 33, 65), (1, 96, 64), (1, 127, 130))
"""Batch, height and width of the pictures of the parity gate."""


MOST_REACH = 448
"""Pixels of context beyond which tiles would be mostly overlap: such a network is given whole pictures."""


class ExportError(Exception):
    """The exported file would not do what the trained network does, so none was written."""


class Translator(nn.Module):
    """A network `[N, C, H, W]` in -1..1 behind the file's contract: `[N, H, W, 3]` in 0..1, any H and W ≥ 1.

    A network of grey pictures says so by `channels` or `out_channels` of 1: it sees the luminance, and its answer is repeated.
    """

    def __init__(self, network: nn.Module, stride: int, scale: int = 1, tape: Tape | None = None) -> None:
        super().__init__()
        self.network, self.stride, self.scale, self.tape = network, stride, scale, tape

    def forward(
        self, image: Tensor, noise: Tensor | None = None, statistics: Tensor | None = None, given: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        if self.tape is not None:
            self.tape.start(statistics, given)
        height, width = image.shape[1], image.shape[2]
        if getattr(self.network, "channels", 3) == 1:
            image = image @ torch.tensor(LUMINANCE, dtype=image.dtype)[:, None]
        x = image.permute(0, 3, 1, 2) * 2 - 1
        # Repeats the border: reflection fails where the pad exceeds the picture.
        x = nn.functional.pad(x, (0, -width % self.stride, 0, -height % self.stride), mode="replicate")
        y = self.network(x) if noise is None else self.network(x, self._noise(noise, x))
        y = y[:, :, : height * self.scale, : width * self.scale]
        if getattr(self.network, "out_channels", 3) == 1:
            y = y.expand(-1, 3, -1, -1)
        translated = (y.permute(0, 2, 3, 1) / 2 + 0.5).clamp(0, 1)
        if self.tape is None:
            return (translated,)
        own = torch.cat(self.tape.own, 1)
        self.tape.start()  # lets go of them
        return translated, own

    def _noise(self, noise: Tensor, x: Tensor) -> Tensor:
        """`[N, ⌈H / every⌉, ⌈W / every⌉, channels]`, channels first and with its border repeated as that of the picture is."""
        noisy: Any = self.network
        every = noisy.noise["every"]
        # Looked up and not padded, so that the exporter sees the picture's size in the result's
        rows, columns = (
            torch.arange(side // every).clamp(max=cells - 1) for side, cells in zip(x.shape[2:], noise.shape[1:3], strict=True)
        )
        return noise.permute(0, 3, 1, 2).index_select(2, rows).index_select(3, columns)


def tiling(network: nn.Module) -> str:
    """How pictures may be cut for `network`, in the card's words."""
    reach = getattr(network, "reach", None)
    if reach is None or reach > MOST_REACH:
        return "whole"
    return "exact" if on_tape(copy.deepcopy(network)) is None else "statistics"


def export(network: nn.Module, card: Card, path: Path) -> Path:
    """Writes `network` and its card to `path`, atomically.

    Before that, ONNX Runtime must agree with PyTorch within `TOLERANCE` on every one of `SIZES` (but the single pixel, where
    the network uses statistics of the picture), with its own and with given statistics, and unless the picture has to be whole
    the network must keep what the card says of `reach` and `stride`. Raises `ExportError` otherwise; nothing is written.
    """
    network = copy.deepcopy(network).cpu().float().eval().to(memory_format=torch.contiguous_format)
    tape = on_tape(network) if card.tiling == "statistics" else None
    if card.tiling == "statistics" and tape is None:
        raise ExportError(
            "the card says tiling 'statistics', but no norm takes any of the picture channel by channel: say 'exact'"
        )
    if card.tiling != "whole":
        check_reach(network, card.reach, card.stride, card.scale, tape)
    translator = Translator(network, card.stride, card.scale, tape).eval()
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
    """The largest difference between ONNX Runtime and PyTorch over `sizes`. Raises `ExportError` above `TOLERANCE`.

    Statistics of a picture of few pixels blow up the last bit of rounding. So PyTorch computes in double precision, and what it
    is off itself in single precision, four times, is let through as well.
    """
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    exact = copy.deepcopy(translator).double()
    worst = 0.0
    for batch, height, width in sizes:
        where = f"at {batch}×{height}×{width}"
        for feeds in _examples(translator, batch, height, width):
            tensors = {name: torch.from_numpy(value) for name, value in feeds.items()}
            with torch.no_grad():
                single = translator(**tensors)
                wanted = exact(**{name: tensor.double() for name, tensor in tensors.items()})
            for got, rounded, tensor in zip(session.run(None, feeds), single, wanted, strict=True):
                if got.shape != tensor.shape:
                    raise ExportError(f"{where} ONNX Runtime gives {got.shape}, PyTorch {tuple(tensor.shape)}")
                scale = tensor.abs().clamp(min=1)  # statistics may be large
                difference = float(((torch.from_numpy(got) - tensor).abs() / scale).max())
                allowed = TOLERANCE + 4 * float(((rounded - tensor).abs() / scale).max())
                if not difference <= allowed:  # NaN does not pass either
                    raise ExportError(f"{where} ONNX Runtime differs from PyTorch by {difference:.2g} (> {allowed:.2g})")
                worst = max(worst, difference)
    return worst


def _examples(translator: Any, batch: int, height: int, width: int) -> Iterator[dict[str, Any]]:
    """Random inputs of that size; for a network on tape without and with given statistics, those of its own picture, changed."""
    rng = np.random.default_rng(0)
    feeds: dict[str, Any] = {"image": rng.random((batch, height, width, 3), dtype=np.float32)}
    if (noise := getattr(translator.network, "noise", None)) is not None:
        shape = (batch, -(-height // noise["every"]), -(-width // noise["every"]), noise["channels"])
        feeds["noise"] = rng.random(shape, dtype=np.float32) * 2 - 1
    if translator.tape is None:
        yield feeds
        return
    with torch.no_grad():
        own = translator(**{name: torch.from_numpy(value) for name, value in feeds.items()})[1][:1].numpy()
    changed = own * (1 + rng.random(own.shape, dtype=np.float32) / 10)
    for given in (0, 1):
        yield feeds | {"statistics": changed, "given": np.array(given, np.float32)}


@torch.no_grad()
def check_reach(network: nn.Module, reach: int, stride: int, scale: int = 1, tape: Tape | None = None) -> None:
    """Changes everything farther than `reach` from one cell of `stride`² pixels; the cell must come out the same.

    A network on tape is given the statistics of the first picture for all of them. Of noise, nothing is dropped. Raises
    `ExportError` where the cell does not, or where a shift by `stride` changes it.
    """
    margin = -(-reach // stride) * stride
    side = 2 * margin + 3 * stride
    generator = torch.Generator().manual_seed(0)
    channels = getattr(network, "channels", 3)
    one, other = torch.rand((2, 1, channels, side, side), generator=generator) * 2 - 1
    cell = slice(margin + stride, margin + 2 * stride)
    near = slice(cell.start - reach, cell.stop + reach)
    other[..., near, near] = one[..., near, near]

    given = [one]
    if (noise := getattr(network, "noise", None)) is not None:
        given.append(torch.ones(1, noise["channels"], side // noise["every"], side // noise["every"]))
    statistics = None
    if tape is not None:
        tape.start()
        network(*given)
        statistics = torch.cat(tape.own, 1)

    def at(picture: Tensor, place: slice) -> Tensor:
        enlarged = slice(place.start * scale, place.stop * scale)
        if tape is not None:
            tape.start(statistics, torch.ones(()))
        return network(picture, *given[1:])[..., enlarged, enlarged]

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
    example = next(_examples(translator, 2, side, side + 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own internals
        try:
            program = torch.onnx.export(
                translator,
                kwargs={name: torch.from_numpy(value) for name, value in example.items()},
                input_names=list(example),
                output_names=["translated"] if translator.tape is None else ["translated", "own"],
                dynamic_shapes={name: dynamic if name in ("image", "noise") else {} for name in example},
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
        except Exception as error:  # its errors have no common base
            raise ExportError(f"this network cannot be written as ONNX for pictures of any size: {error}") from error
    if program is None:
        raise ExportError("the ONNX exporter returned nothing")
    model = program.model_proto
    names = {"image": "NHW", "noise": ("N", "H_noise", "W_noise"), "translated": ("N", "H_out", "W_out"), "own": "N"}
    for value in (*model.graph.input, *model.graph.output):
        for dimension, dim_name in zip(value.type.tensor_type.shape.dim, names.get(value.name, ()), strict=False):
            dimension.dim_param = dim_name
    contents = {METADATA_KEY: card.model_dump_json()}
    if translator.tape is not None:
        try:
            contents[STAGES_KEY] = plan(model, card).model_dump_json()
        except ValueError as error:
            raise ExportError(f"the statistics of this network cannot be taken in tiles: {error}") from error
    for key, content in contents.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, content
    onnx.checker.check_model(model)
    return model
