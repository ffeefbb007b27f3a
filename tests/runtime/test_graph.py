"""Graph: parts of a file compute what the whole file computes there."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from tests.tiny_models import build
from translate.runtime.errors import InvalidModel
from translate.runtime.graph import Graph, _field, _number, _varint, read_metadata

STATISTICS = {"statistics": np.zeros((1, 9, 2), np.float32), "given": np.zeros((), np.float32)}


def run(content: bytes, targets: list[str], feeds: dict[str, object]) -> list[np.ndarray]:
    onnx.checker.check_model(content)
    return list(onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]).run(targets, feeds))


def test_a_part_computes_what_the_whole_does() -> None:
    content = build("settle")
    model = onnx.load_from_string(content)
    first, second, _ = (node.output[0] for node in model.graph.node if node.op_type == "Conv")
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 4) for name in (first, second))
    feeds = {"image": np.random.default_rng(0).random((1, 9, 12, 3), dtype=np.float32)} | STATISTICS
    translated, at_first, at_second = run(model.SerializeToString(), ["translated", first, second], feeds)
    graph = Graph(content)
    (alone,) = run(graph.part([], [first]), [first], {"image": feeds["image"]})
    np.testing.assert_array_equal(alone, at_first)
    np.testing.assert_allclose(
        run(graph.part([first], [second]), [second], {first: at_first} | STATISTICS)[0], at_second, atol=1e-6
    )
    last = run(graph.part([second], ["translated"]), ["translated"], {second: at_second} | STATISTICS)[0]
    np.testing.assert_allclose(last, translated, atol=1e-6)


def test_a_part_holds_no_more_than_it_needs() -> None:
    content = build("settle")
    model = onnx.load_from_string(content)
    first = next(node.output[0] for node in model.graph.node if node.op_type == "Conv")
    part = onnx.load_from_string(Graph(content).part([], [first]))
    assert [value.name for value in part.graph.input] == ["image"]
    assert [node.op_type for node in part.graph.node] == ["Transpose", "Pad", "Conv"]
    assert len(part.graph.initializer) == 2
    assert not part.metadata_props
    assert part.opset_import == model.opset_import


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 2**31, 2**40 + 7])
def test_numbers_on_the_wire(value: int) -> None:
    written = _number(value)
    assert _varint(memoryview(written + b"x"), 0) == (value, len(written))


def test_metadata_is_read_past_the_graph(tmp_path: Path) -> None:
    path, content = tmp_path / "model.onnx", build("settle")
    path.write_bytes(content)
    assert read_metadata(path) == {entry.key: entry.value for entry in onnx.load_from_string(content).metadata_props}


@pytest.mark.parametrize(
    "tail", [b"\x72", b"\x72\xff", _field(14, b"")[:1] + _number(2**60), _field(14, b"\x0a\x01"), _field(14, b"")]
)
def test_metadata_of_damaged_files(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(build("identity") + tail)
    with pytest.raises(InvalidModel, match=r"model\.onnx"):
        read_metadata(path)
