"""Half precision: convolutions, and what follows them number by number, in float16; norms, statistics and the ends in float32.

The float16 tools of ONNX's and ONNX Runtime's round between any two nodes that were told to stay in float32, where a variance
would overflow. So nodes are gathered into islands here: numbers are rounded where one begins, and nowhere else outside of it.
"""

from collections.abc import Collection

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HEAVY = ("Conv", "ConvTranspose")
ALONG = ("Add", "Concat", "DepthToSpace", "LeakyRelu", "Pad", "Relu")
"""Operators that stay in an island where all that they take comes from one."""


def to_half(model: onnx.ModelProto, pinned: Collection[str] = (), simulated: bool = False) -> tuple[onnx.ModelProto, str]:
    """The float32 model with islands of float16, and which layers those are, in words. Values in `pinned` stay in float32, and
    nothing looks past them: a part of the graph may begin or end there. Inputs and outputs stay float32.

    `simulated`: in float32, but with every value rounded that would be float16. ONNX Runtime's processors have no float16, and
    round what is told to be only where an island ends: they would not see a value that is beyond it within.
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    typed = onnx.shape_inference.infer_shapes(model).graph
    floats = {
        value.name
        for value in (*typed.value_info, *typed.input, *typed.output)
        if value.type.tensor_type.elem_type == TensorProto.FLOAT
    }
    weights = {constant.name: constant for constant in graph.initializer if constant.data_type == TensorProto.FLOAT}
    inside, islands = _islands(graph, floats, pinned)
    wanted = {value.name for value in graph.output} | set(pinned)
    wanted |= {name for index, node in enumerate(graph.node) if index not in islands for name in node.input}

    nodes, rounded = list[onnx.NodeProto](), dict[str, str]()

    def cast(source: str, target: str) -> None:
        between = f"{target}/16" if simulated else target
        nodes.append(helper.make_node("Cast", [source], [between], to=TensorProto.FLOAT16))
        if simulated:
            nodes.append(helper.make_node("Cast", [between], [target], to=TensorProto.FLOAT))

    def round_off(name: str) -> str:
        """The name of a value in float16."""
        if name not in rounded and (name in weights or name in floats):
            rounded[name] = f"{name}/half"
            if name in weights:
                with np.errstate(over="ignore"):  # seen where it is measured
                    numbers = numpy_helper.to_array(weights[name]).astype(np.float16)
                if simulated:
                    numbers = numbers.astype(np.float32)
                graph.initializer.append(numpy_helper.from_array(numbers, rounded[name]))
            else:
                cast(name, rounded[name])
        return rounded.get(name, name)

    for index, node in enumerate(graph.node):
        if index not in islands:
            nodes.append(node)
            continue
        node.input[:] = [round_off(name) for name in node.input]
        (name,) = node.output
        result = f"{name}/made"
        node.output[0] = f"{name}/exact" if simulated else result
        nodes.append(node)
        if simulated:
            cast(node.output[0], result)
        if name in inside:
            rounded[name] = result
        if name in wanted:
            nodes.append(helper.make_node("Cast", [result], [name], to=TensorProto.FLOAT))
    unused = set(weights) - {name for node in nodes for name in node.input}
    kept = [constant for constant in graph.initializer if constant.name not in unused]
    for field, content in ((graph.node, nodes), (graph.initializer, kept), (graph.value_info, [])):
        copies = [type(entry).FromString(entry.SerializeToString()) for entry in content]
        del field[:]
        field.extend(copies)
    convolutions = sum(node.op_type in HEAVY for node in graph.node)
    return made, f"all {convolutions} convolutions; norms and ends are float32"


def _islands(graph: onnx.GraphProto, floats: set[str], pinned: Collection[str]) -> tuple[set[str], set[int]]:
    """Values that go from node to node in float16, and the indices of the nodes that work in it."""
    inside, islands = set[str](), set[int]()
    for index, node in enumerate(graph.node):
        taken = [name for name in node.input if name in floats]
        if node.op_type in HEAVY or (node.op_type in ALONG and taken and all(name in inside for name in taken)):
            islands.add(index)
            inside |= set(node.output) - set(pinned)
    return inside, islands
