"""Parts of an ONNX graph, cut out of the file's bytes: no more is known of its format than names and who makes what.

Protocol Buffers' wire format is documented at protobuf.dev; the numbers of fields are those of onnx.proto.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from translate.runtime.errors import InvalidModel

_IR_VERSION, _GRAPH, _OPSETS, _METADATA = 1, 7, 8, 14
_KEY, _VALUE = 1, 2
_NODES, _NAME, _CONSTANTS, _INPUTS, _OUTPUTS = 1, 2, 5, 11, 12
_NODE_INPUTS, _NODE_OUTPUTS = 1, 2
_CONSTANT_NAME, _VALUE_NAME = 8, 1
_MAP = b"\x12\x0e\x0a\x0c\x08\x01\x12\x08" + 4 * b"\x0a\x00"
"""A value's type: float32, of four dimensions of any size."""


class Graph:
    """An ONNX file of one graph, whose nodes hold no graphs themselves."""

    def __init__(self, model: bytes) -> None:
        outer = list(_fields(memoryview(model)))
        self._head = b"".join(raw for number, _, raw in outer if number in (_IR_VERSION, _OPSETS))
        (graph,) = (content for number, content, _ in outer if number == _GRAPH)
        self._nodes: list[tuple[list[str], list[str], memoryview]] = []
        self._constants: dict[str, memoryview] = {}
        self._inputs: dict[str, memoryview] = {}
        for number, content, raw in _fields(graph):
            if number == _NODES:
                self._nodes.append((_names(content, _NODE_INPUTS), _names(content, _NODE_OUTPUTS), raw))
            elif number == _CONSTANTS:
                self._constants[_names(content, _CONSTANT_NAME)[0]] = raw
            elif number == _INPUTS:
                self._inputs[_names(content, _VALUE_NAME)[0]] = raw

    def part(self, start: Iterable[str], targets: Iterable[str]) -> bytes:
        """The file of the graph that computes `targets` from `start`, and those of the whole graph's inputs that it needs.

        `start` and `targets` are float32 values of four dimensions.
        """
        start, targets = list(start), list(targets)
        needed, kept, known = set(targets), list[memoryview](), set(start)
        for inputs, outputs, raw in reversed(self._nodes):  # they stand in the order of their work
            if needed & (set(outputs) - known):
                needed.update(inputs)
                kept.append(raw)
        graph: list[bytes | memoryview] = [*reversed(kept), _field(_NAME, b"part")]
        graph += [raw for name, raw in (self._constants | self._inputs).items() if name in needed]
        graph += [_field(_INPUTS, _field(_VALUE_NAME, name.encode()) + _MAP) for name in start]
        graph += [_field(_OUTPUTS, _field(_VALUE_NAME, name.encode()) + _MAP) for name in targets]
        return self._head + _field(_GRAPH, b"".join(graph))


def read_metadata(path: Path) -> dict[str, str]:
    """What stands in a file beside its graph, which is passed over: a large file takes no more memory than a small one.

    Raises `InvalidModel`.
    """
    found = {}
    try:
        with path.open("rb") as file:
            size, at = path.stat().st_size, 0
            while at < size:  # not mapped: a file that is cut short meanwhile would end the process
                file.seek(at)
                head = memoryview(file.read(20))
                tag, begin = _varint(head, 0)
                if tag & 7 not in (0, 2):
                    raise ValueError(f"no wire type {tag & 7} is known here")
                length, begin = _varint(head, begin)
                if tag >> 3 == _METADATA and at + begin + length <= size:
                    file.seek(at + begin)
                    entry = memoryview(file.read(length))
                    (key,), (value,) = _names(entry, _KEY), _names(entry, _VALUE)
                    found[key] = value
                at += begin + (length if tag & 7 == 2 else 0)
            if at != size:
                raise ValueError("it ends too soon")
    except (OSError, ValueError, IndexError) as error:
        raise InvalidModel(f"{path} cannot be read as an ONNX file: {error}") from error
    return found


def _names(message: memoryview, field: int) -> list[str]:
    return [bytes(content).decode() for number, content, _ in _fields(message) if number == field]


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview, memoryview]]:
    """Number, content and raw bytes of each field."""
    at = 0
    while at < len(message):
        begin = at
        tag, at = _varint(message, at)
        kind, content = tag & 7, at
        if kind == 0:
            _, at = _varint(message, at)
        elif kind == 2:
            length, content = _varint(message, at)
            at = content + length
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError(f"no wire type {kind}")
        yield tag >> 3, message[content:at], message[begin:at]


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def _field(number: int, content: bytes) -> bytes:
    """A field of bytes or of a message."""
    return _number(number << 3 | 2) + _number(len(content)) + content


def _number(value: int) -> bytes:
    written = bytearray()
    while value > 127:
        written.append(value & 127 | 128)
        value >>= 7
    return bytes([*written, value])
