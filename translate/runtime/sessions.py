"""Sessions, as every model and every part of one is run: quiet, on the device that was told and on no other."""

from importlib import metadata
from pathlib import Path
from typing import TypeAlias

import onnxruntime as ort

from translate.runtime.errors import DeviceUnavailable, InvalidModel
from translate.runtime.openvino import PRECISIONS, OpenVinoSession

Session: TypeAlias = ort.InferenceSession | OpenVinoSession
DEVICES = "cpu, cuda, cuda:<index>, openvino or openvino-bf16"


def start(model: Path | bytes, device: str, threads: int, at_once: int = 1) -> Session:
    """Makes a file, or the bytes of one, ready to run, `at_once` times at once on so many `threads` each.

    `device` is one of `DEVICES`. Raises `InvalidModel` or `DeviceUnavailable`.
    """
    if device in PRECISIONS:
        return OpenVinoSession(model, device, threads, at_once)
    options = quiet_options()
    options.intra_op_num_threads = threads
    kind, _, index = device.partition(":")
    if kind == "cpu" and not index:
        return session(model, options, ["CPUExecutionProvider"], InvalidModel)
    if kind != "cuda" or (index and not index.isdigit()):
        raise DeviceUnavailable(f"unknown device {device!r}: choose {DEVICES}")
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        raise DeviceUnavailable(f"{device} was asked for, but this onnxruntime has no CUDA: install onnxruntime-gpu in its place")
    # The exhaustive search for the fastest algorithm would run again for every new picture size
    cuda = ("CUDAExecutionProvider", {"device_id": index or "0", "cudnn_conv_algo_search": "HEURISTIC"})
    started = session(model, options, [cuda, "CPUExecutionProvider"], DeviceUnavailable)
    if "CUDAExecutionProvider" not in started.get_providers():
        raise DeviceUnavailable(f"{device} was asked for, but CUDA did not start: check the driver, CUDA and cuDNN")
    return started


def quiet_options() -> ort.SessionOptions:
    """Says nothing, spins on nothing, and keeps no plan of memory."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.inter_op_num_threads = 1
    # Memory planned for one shape is of no use to the next, and is kept: tiles of mixed shapes would add up
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def session(
    model: Path | bytes, options: ort.SessionOptions, providers: list[object], refusal: type[Exception]
) -> ort.InferenceSession:
    """A session, or the `refusal`, raised."""
    if isinstance(model, Path) and not model.is_file():
        raise InvalidModel(f"{model} is not a file")
    try:
        return ort.InferenceSession(
            model if isinstance(model, bytes) else str(model), options, providers=providers, enable_fallback=0
        )
    except Exception as error:  # the runtime's errors have no common base
        where = "a part of the model" if isinstance(model, bytes) else str(model)
        raise refusal(f"{where} cannot be loaded: {error}") from error


def refuse_two_runtimes() -> None:
    """Raises `DeviceUnavailable` where two builds of ONNX Runtime are installed."""
    builds = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino")
    installed = [build for build in builds if any(True for _ in metadata.distributions(name=build))]
    if len(installed) > 1:
        raise DeviceUnavailable(
            f"{' and '.join(installed)} overwrite one another: uninstall them all, then install the one you want"
        )
