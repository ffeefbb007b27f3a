"""8-bit integers: convolutions with weights and values of 8 bits, by ONNX Runtime's static quantisation in the QDQ form.

First and last convolution stay in float32, for they see and make the picture's own values. Where the others together lose more
than is let through, those that lose most by themselves stay as well, one after another: their errors are nearly independent, so
that squares of them add up.
"""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from translate.precision.half import HEAVY
from translate.precision.likeness import Feeds, NotAlike, Reference, mean, psnr

MARGIN = 3.0
"""dB above what is asked for, on the pictures calibrated on: held-out ones fare a little worse."""
TRIED = 4
"""Pictures on which each layer is tried by itself."""


class _Reader(CalibrationDataReader):
    def __init__(self, feeds: Sequence[Feeds]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> Feeds | None:
        return next(self._feeds, None)


def to_integers(model: onnx.ModelProto, reference: Reference, least: float) -> tuple[onnx.ModelProto, str]:
    """The float32 model in 8 bits, as much of it as keeps `least` dB on the pictures of `reference`, and how much, in words.

    Raises `NotAlike` where nothing of it does.
    """
    model = _named(model)
    every = [node.name for node in model.graph.node if node.op_type in HEAVY]
    with tempfile.TemporaryDirectory() as folder, _quiet():
        quantiser = _Quantiser(model, Path(folder), reference)
        layers = every[1:-1]
        if not layers:
            raise NotAlike("this network has no convolution between its first and its last: int8 would leave it as it is")
        found = mean(psnr(quantiser.written(layers), reference))
        if found < least + MARGIN:
            layers = _bearable(quantiser, layers, reference, least + MARGIN)
        while layers and (found := mean(psnr(quantiser.written(layers), reference))) < least + MARGIN:
            layers = layers[: len(layers) * 3 // 4]
        if not layers:
            raise NotAlike(f"no layer can be int8 at {least:g} dB: {found:.1f} dB were left with the last ones tried")
        made = onnx.load_model(quantiser.written(layers))
    return made, f"{len(layers)} of {len(every)} convolutions; the others, norms and ends are float32"


def _bearable(quantiser: "_Quantiser", layers: list[str], reference: Reference, wanted: float) -> list[str]:
    """Those of the layers that together should keep `wanted` dB, the best first."""
    few = reference.first(TRIED)
    errors = {layer: 10 ** (-mean(psnr(quantiser.written([layer]), few)) / 10) for layer in layers}
    best = sorted(layers, key=errors.__getitem__)
    sums = accumulate(errors[layer] for layer in best)
    return [layer for layer, error in zip(best, sums, strict=True) if error <= 10 ** (-wanted / 10)]


class _Quantiser:
    """Writes the model with some layers in 8 bits. Ranges of values are taken once."""

    def __init__(self, model: onnx.ModelProto, folder: Path, reference: Reference) -> None:
        self._source, self._target, self._ranges = (folder / name for name in ("source.onnx", "target.onnx", "ranges.json"))
        self._feeds = reference.feeds
        onnx.save_model(model, self._source)
        maker = {name: node for node in model.graph.node for name in node.output}
        self._rectified = {
            maker[node.input[0]].name: node.name
            for node in model.graph.node
            if node.op_type == "Relu" and node.input[0] in maker and maker[node.input[0]].op_type in HEAVY
        }

    def written(self, layers: Sequence[str]) -> Path:
        """The file, until another is written."""
        quantize_static(
            self._source,
            self._target,
            _Reader(self._feeds),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=[*HEAVY, "Relu"],
            # A ReLU behind a convolution becomes a part of it
            nodes_to_quantize=[*layers, *(self._rectified[layer] for layer in layers if layer in self._rectified)],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibration_cache_path=self._ranges,
        )
        made = onnx.load_model(self._target)
        _spare(made.graph)
        onnx.save_model(made, self._target)
        return self._target


def _spare(graph: onnx.GraphProto) -> None:
    """Gives whatever is not quantised itself the values from before, where they were only rounded for a convolution."""
    maker = {name: node for node in graph.node for name in node.output}
    before = {}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and (quantised := maker.get(node.input[0])) is not None:
            source = quantised.input[0]
            if source not in maker or maker[source].op_type not in HEAVY:
                before[node.output[0]] = source
    for node in graph.node:
        if node.op_type not in HEAVY:
            node.input[:] = [before.get(name, name) for name in node.input]


def _named(model: onnx.ModelProto) -> onnx.ModelProto:
    """Layers are told apart by name, which ONNX does not ask for."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for index, node in enumerate(copy.graph.node):
        node.name = f"node-{index}"
    return copy


@contextmanager
def _quiet() -> Iterator[None]:
    """The quantiser advises to prepare the model by a tool that cannot follow pictures of any size."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
