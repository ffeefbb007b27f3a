"""OpenVINO in the place of ONNX Runtime, on the processor, behind what models and their parts need of a session."""

import io
import sys
from collections import deque
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from translate.runtime.errors import DeviceUnavailable, InvalidModel

PRECISIONS = {"openvino": "f32", "openvino-bf16": "bf16"}
"""What convolutions are computed in, by device; those of an int8 file in 8 bits either way."""


class Value(NamedTuple):
    """An input or an output, in ONNX Runtime's words; sides of any length are None."""

    name: str
    type: str
    shape: list[Any]


class OpenVinoSession:
    """A compiled model. Several threads may share it; as many runs go on at once as it was told."""

    def __init__(self, model: Path | bytes, device: str, threads: int, at_once: int) -> None:
        """Raises `InvalidModel`, or `DeviceUnavailable` where the package or the processor cannot do it."""
        core = _core(device)
        precision = PRECISIONS[device]
        if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise DeviceUnavailable(f"{device} was asked for, but this processor has no bfloat16: say openvino")
        options = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": threads * at_once,
            "NUM_STREAMS": at_once,
            "ENABLE_CPU_PINNING": False,  # others work on these processors too
        }
        if isinstance(model, Path) and not model.is_file():
            raise InvalidModel(f"{model} is not a file")
        try:
            read = core.read_model(io.BytesIO(model) if isinstance(model, bytes) else model)
            self._compiled = core.compile_model(read, "CPU", options)
        except Exception as error:  # the runtime's errors have no common base
            where = "a part of the model" if isinstance(model, bytes) else str(model)
            raise InvalidModel(f"{where} cannot be loaded by OpenVINO: {error}") from error
        self._idle: deque[Any] = deque()

    def get_inputs(self) -> list[Value]:
        return [_value(port) for port in self._compiled.inputs]

    def get_outputs(self) -> list[Value]:
        return [_value(port) for port in self._compiled.outputs]

    def run(self, targets: list[str], feeds: dict[str, Any], options: Any = None) -> list[Any]:
        """The values of `targets`. Of `options`, ONNX Runtime's, the one to let go of memory afterwards is heeded."""
        try:
            request = self._idle.pop()
        except IndexError:
            request = self._compiled.create_infer_request()
        request.infer(feeds, share_inputs=True)
        answers = [np.array(request.get_tensor(name).data) for name in targets]
        if options is None or not _lets_go(options):
            self._idle.append(request)
        return answers


def _core(device: str) -> Any:
    # The converter that comes with it prepares telemetry, with a file in the home folder, as soon as it is imported
    unwanted = "openvino.tools.ovc"
    hidden = unwanted not in sys.modules
    if hidden:
        sys.modules[unwanted] = None  # type: ignore[assignment]
    try:
        import openvino
    except ImportError as error:
        raise DeviceUnavailable(
            f"{device} was asked for, but OpenVINO is not installed ({error}): pip install 'image-translate[openvino]'"
        ) from error
    finally:
        if hidden:
            del sys.modules[unwanted]
    return openvino.Core()


def _lets_go(options: Any) -> bool:
    try:
        return bool(options.get_run_config_entry("memory.enable_memory_arena_shrinkage"))
    except RuntimeError:  # it was not set
        return False


def _value(port: Any) -> Value:
    shape = [dimension.get_length() if dimension.is_static else None for dimension in port.get_partial_shape()]
    kind = "float" if port.get_element_type().get_type_name() == "f32" else port.get_element_type().get_type_name()
    # A value that OpenVINO has joined with the one before it goes by both their names
    name = next((name for name in ("translated", "own") if name in port.names), port.any_name)
    return Value(name, f"tensor({kind})", shape)
