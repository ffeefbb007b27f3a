"""How many pictures a second the loaders prepare: `python -m bench.loader`. A training step that is slower never waits."""

import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from skimage import data as shipped
from torch.utils.data import DataLoader, Dataset

from translate.data.aligned import Aligned
from translate.data.layouts import Part, recognise
from translate.data.pixels import Paired, start_worker
from translate.data.unpaired import Unpaired
from translate.runtime.picture import Picture
from translate.runtime.threads import usable_cpus
from translate.training.environment import processor

LOAD, SIZE = 286, 256


def main(
    data: Annotated[Path | None, typer.Option(help="Pairs; made of scikit-image's photographs by default")] = None,
    workers: Annotated[int, typer.Option(help="Processes that prepare pictures; 0: the one that measures")] = 0,
    seconds: Annotated[float, typer.Option(help="Time for each line")] = 3,
) -> None:
    """Print pictures/s (a pair is two) at 256 pixels, decoded anew for every crop and kept decoded."""
    print(f"{processor()}, {usable_cpus()} CPUs, {workers} workers, pictures/s:")
    with tempfile.TemporaryDirectory() as made:
        part = recognise(data or pairs(Path(made))).train
        for name, samples in loaders(part).items():
            decoded = rate(samples, workers, seconds)
            samples.preload()
            print(f"{name}: {decoded:.0f} with decoding, {rate(samples, workers, seconds):.0f} kept decoded", flush=True)


def loaders(part: Part) -> dict[str, Aligned | Unpaired]:
    return {"aligned": Aligned(part.pairs(), SIZE, LOAD), "unpaired": Unpaired(part, SIZE, LOAD)}


def reading(kind: str, seconds: float = 3) -> float:
    """Seconds that the pictures of a step at batch 1 take, kept decoded, in the process that measures."""
    with tempfile.TemporaryDirectory() as made:
        samples = loaders(recognise(pairs(Path(made))).train)[kind]
        samples.preload()
        return 2 / rate(samples, 0, seconds)


def pairs(folder: Path, n: int = 48) -> Path:
    """JPEGs of 300×400 pixels, of which the target is the negative."""
    for side in ("A", "B"):
        (folder / side).mkdir()
    for k in range(n):
        whole = (shipped.astronaut(), shipped.coffee(), shipped.chelsea())[k % 3]
        top, left = np.random.default_rng(k).integers((whole.shape[0] - 299, whole.shape[1] - 399))
        picture = whole[top : top + 300, left : left + 400]
        Picture(picture).save(folder / "A" / f"{k}.jpg")
        Picture(255 - picture).save(folder / "B" / f"{k}.jpg")
    return folder


def rate(samples: Dataset[Paired], workers: int, seconds: float) -> float:
    loader = DataLoader(samples, 1, sampler=range(10**6), num_workers=workers, worker_init_fn=start_worker)
    batches = iter(loader)
    for _ in range(8):  # the start of the workers, and the first pages of memory
        next(batches)
    done, began = 0, time.perf_counter()
    while (past := time.perf_counter() - began) < seconds:
        next(batches)
        done += 2
    return done / past


if __name__ == "__main__":
    typer.run(main)
