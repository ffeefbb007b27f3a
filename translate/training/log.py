"""A run's numbers, as JSON lines and in TensorBoard."""

import json
import logging
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from torch.utils.tensorboard import SummaryWriter

from translate.training import checkpoint

if sys.platform != "win32":
    import resource


class Log:
    """metrics.jsonl holds what a repeated run would measure again, to the last digit, and events.jsonl what it would not: speed,
    memory and warnings. What a killed run logged past its last checkpoint, step `first`, is cut off before.
    """

    def __init__(self, run: Path, first: int) -> None:
        self.board = SummaryWriter(str(run / "tensorboard"), purge_step=first + 1)
        paths = (run / "metrics.jsonl", run / "events.jsonl")
        for path in paths:
            lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
            kept = [line for line in lines if _step_of(line) <= first]
            checkpoint.write_atomically(path, "".join(f"{line}\n" for line in kept))
        self._metrics, self._events = (path.open("a", encoding="utf-8") for path in paths)

    def measured(self, step: int, values: Mapping[str, float]) -> None:
        self._metrics.write(json.dumps({"step": step} | {name: float(f"{value:.7g}") for name, value in values.items()}) + "\n")
        self._metrics.flush()
        self._draw(step, values)

    def happened(self, step: int, values: Mapping[str, float]) -> None:
        self._events.write(json.dumps({"step": step} | {name: round(value, 3) for name, value in values.items()}) + "\n")
        self._events.flush()
        self._draw(step, values)

    def warned(self, step: int, text: str) -> None:
        logging.getLogger(__name__).warning(text)
        self._events.write(json.dumps({"step": step, "warning": text}) + "\n")
        self._events.flush()
        self.board.add_text("warnings", text, step)

    def _draw(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.board.add_scalar(name, value, step)

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, *_: object) -> None:
        self._metrics.close()
        self._events.close()
        self.board.close()


class Pace:
    """Samples per second since it was last asked, without the time between `pause` and `go`."""

    def __init__(self) -> None:
        self._since, self._spent, self._samples = time.monotonic(), 0.0, 0

    def done(self, samples: int) -> None:
        self._samples += samples

    def pause(self) -> None:
        self._spent += time.monotonic() - self._since

    def go(self) -> None:
        self._since = time.monotonic()

    def take(self) -> float:
        self.pause()
        rate = self._samples / self._spent if self._spent else 0.0
        self._since, self._spent, self._samples = time.monotonic(), 0.0, 0
        return rate


def memory(device: torch.device) -> dict[str, float]:
    """GiB, the most so far: the GPU's where there is one, else this process's, where the system tells it."""
    if device.type == "cuda":
        return {"memory_gib": torch.cuda.max_memory_allocated(device) / 2**30}
    if sys.platform == "win32":
        return {}
    return {"memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)}


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except ValueError:  # a line that a full disk or a power cut left half written
        return math.inf
