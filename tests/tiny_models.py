"""Translators of a few nodes, made with the onnx package alone.

Kinds: `identity`; `invert`; `blur`: a box of `size`² pixels, `depth` times; `pool`: the same on 4 x 4 blocks, so that only shifts
by 4 commute; `double`: twice as large, nearest; `noisy`: the picture + 0.1 · noise; `mean`: the mean of the whole picture
(`whole`); `settle`: a box, a normalisation with statistics of the picture, ReLU, three times (`statistics`);
`nan`: no numbers at all.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from translate.runtime.card import METADATA_KEY, STAGES_KEY, Card
from translate.stages import plan

BLOCK = 4


class Graph:
    """Nodes and constants in the order of their making."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: object, dtype: type = np.int64) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(value, dtype=dtype), name))
        return name

    def add(self, op: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        output = output or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def box(self, planes: str, size: int, depth: int) -> str:
        """`depth` mean filters of size x size on `[N, 3, H, W]`, each with edge padding."""
        kernel = self.constant(np.full((3, 1, size, size), 1 / size**2), np.float32)
        for _ in range(depth):
            planes = self.add("Pad", planes, self.constant([0, 0, size // 2, size // 2] * 2), mode="edge")
            planes = self.add("Conv", planes, kernel, group=3)
        return planes

    def pooled(self, planes: str, size: int, depth: int) -> str:
        """Box filters on the means of 4 x 4 blocks; pads to whole blocks, and crops again."""
        sides = self.add("Slice", self.add("Shape", planes), self.constant([2]), self.constant([4]))
        missing = self.add("Mod", self.add("Neg", sides), self.constant([BLOCK, BLOCK]))
        pads = self.add("Concat", self.constant([0, 0, 0, 0, 0, 0]), missing, axis=0)
        blocks = self.add(
            "AveragePool", self.add("Pad", planes, pads, mode="edge"), kernel_shape=[BLOCK] * 2, strides=[BLOCK] * 2
        )
        large = self.enlarged(self.box(blocks, size, depth), BLOCK)
        return self.add("Slice", large, self.constant([0, 0]), sides, self.constant([2, 3]))

    def normed(self, planes: str, place: int) -> tuple[str, str]:
        """Three planes by statistics of their own, or by those given at `place`; and their own."""
        axes = self.constant([2, 3])
        mean = self.add("ReduceMean", planes, axes, keepdims=1)
        off = self.add("Sub", planes, mean)
        variance = self.add("ReduceMean", self.add("Mul", off, off), axes, keepdims=1)
        own = self.add("Squeeze", self.add("Concat", mean, variance, axis=3), self.constant([2]))
        given = self.add("Greater", "given", self.constant(0.5, np.float32))
        for k in (0, 1):
            bounds = [self.constant(ends) for ends in ([place, k], [place + 3, k + 1], [1, 2])]
            other = self.add("Unsqueeze", self.add("Slice", "statistics", *bounds), self.constant([3]))
            mean, variance = (
                (self.add("Where", given, other, mean), variance) if k == 0 else (mean, self.add("Where", given, other, variance))
            )
        deviation = self.add("Sqrt", self.add("Add", variance, self.constant(1e-5, np.float32)))
        return self.add("Div", self.add("Sub", planes, mean), deviation), own

    def enlarged(self, planes: str, factor: int) -> str:
        scales = self.constant([1, 1, factor, factor], np.float32)
        return self.add(
            "Resize", planes, "", scales, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
        )


def build(kind: str, *, name: str = "tiny", size: int = 3, depth: int = 1, **card: object) -> bytes:
    """The bytes of a translator; `card` overrides fields of its card."""
    graph, image = Graph(), "image"
    inputs = [("image", 3)]
    told: dict[str, object] = {"tiling": "exact"}
    if kind == "identity":
        graph.add("Identity", image, output="translated")
    elif kind == "invert":
        graph.add("Sub", graph.constant(1, np.float32), image, output="translated")
    elif kind == "nan":
        graph.add("Log", graph.add("Sub", image, graph.constant(2, np.float32)), output="translated")
    elif kind == "noisy":
        inputs.append(("noise", 3))
        told["noise"] = {"distribution": "normal", "channels": 3}
        graph.add("Add", image, graph.add("Mul", "noise", graph.constant(0.1, np.float32)), output="translated")
    elif kind == "mean":
        told["tiling"] = "whole"
        mean = graph.add("ReduceMean", image, graph.constant([1, 2]), keepdims=1)
        graph.add("Expand", mean, graph.add("Shape", image), output="translated")
    else:
        planes = graph.add("Transpose", image, perm=[0, 3, 1, 2])
        if kind == "blur":
            planes, told["reach"] = graph.box(planes, size, depth), size // 2 * depth
        elif kind == "pool":
            planes, told["reach"] = graph.pooled(planes, size, depth), BLOCK * (size // 2) * depth + BLOCK - 1
            told["stride"] = BLOCK
        elif kind == "settle":
            told |= {"tiling": "statistics", "reach": 3 * (size // 2)}
            inputs += [("statistics", 9), ("given", 0)]
            owns = []
            for place in (0, 3, 6):
                planes, own = graph.normed(graph.box(planes, size, depth), place)
                owns.append(own)
                planes = graph.add("Relu", planes)
            graph.add("Concat", *owns, axis=1, output="own")
            planes = graph.add("Mul", planes, graph.constant(0.3, np.float32))
        elif kind == "double":
            planes, told["scale"] = graph.enlarged(planes, 2), 2
        else:
            raise ValueError(f"no kind {kind!r}")
        graph.add("Transpose", planes, perm=[0, 2, 3, 1], output="translated")
    fields = {"name": name, "task": "test", "source": "anything", "target": kind, "size": 16} | told | card
    checked = Card.model_validate(fields)
    made = to_bytes(graph, inputs, checked.model_dump_json())
    return with_stages(made, checked) if kind == "settle" else made


def with_stages(content: bytes, card: Card) -> bytes:
    model = onnx.load_from_string(content)
    entry = model.metadata_props.add()
    entry.key, entry.value = STAGES_KEY, plan(model, card).model_dump_json()
    return bytes(model.SerializeToString())


def to_bytes(graph: Graph, inputs: Sequence[tuple[str, int]], card: str | None) -> bytes:
    """An ONNX file whose inputs are the named float32 `[N, H, W, channels]`, with the card's JSON as metadata."""

    def tensor(name: str, channels: int, prefix: str) -> onnx.ValueInfoProto:
        shapes: dict[str, list[object]] = {"statistics": [1, channels, 2], "own": ["N", channels, 2], "given": []}
        shape = shapes.get(name, ["N", f"{prefix}H", f"{prefix}W", channels])
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "tiny",
            [tensor(name, channels, "" if name == "image" else name) for name, channels in inputs],
            [tensor("translated", 3, "out"), *(tensor("own", channels, "") for name, channels in inputs if name == "statistics")],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    if card is not None:
        helper.set_model_props(model, {METADATA_KEY: card})
    onnx.checker.check_model(model)
    return model.SerializeToString()
