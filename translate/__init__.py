"""Image translation with generative adversarial networks. Loading and running a translator needs no torch."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from translate.runtime.model import Model

# ONNX Runtime would write an identifier to the disk and report to its maker what runs here, from its first session on.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def load(name_or_path: str | Path, *, device: str = "cpu", threads: int | None = None) -> "Model":
    """Loads a translator by name (`"restore"`) or by path (`"run/restore.onnx"`): a callable, picture in, picture out.

    `device` is `cpu`, `cuda`, `cuda:1`, `openvino` or `openvino-bf16`. `threads` is the number of CPU threads, by default all
    that this process may use.
    Raises `ModelNotFound`, `InvalidModel` or `DeviceUnavailable` (see `translate.runtime.errors`).
    """
    from translate.runtime.store import Store  # here, so that `import translate` stays cheap

    return Store().load(name_or_path, device=device, threads=threads)
