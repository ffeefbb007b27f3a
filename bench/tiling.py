"""InstanceNorm in tiles against the whole picture: `python -m bench.tiling [--model FILE] [--megapixels 24]`. Prints Markdown.

Photographs of scikit-image, one of them half dark and half bright, go through a CycleGAN generator in one piece, in tiles that
share the statistics of the whole, and in tiles that are left to their own. Without --model the generator is untrained, with
weights under which no layer fades.
"""

import math
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from translate.runtime import tiles
from translate.runtime.model import Model
from translate.runtime.picture import Picture
from translate.runtime.tiles import Grid

Pixels = NDArray[np.uint8]
PHOTOGRAPHS = ("astronaut", "coffee", "chelsea", "rocket")


def main(
    model: Annotated[Path | None, typer.Option(help="An .onnx with tiling 'statistics'")] = None,
    scale: Annotated[float, typer.Option(help="How much larger the photographs are made")] = 1.0,
    side: Annotated[int, typer.Option(help="Side of the tiles, in pixels")] = 400,
    width: Annotated[int, typer.Option(help="Width of the untrained generator")] = 64,
    megapixels: Annotated[float, typer.Option(help="Size of the picture whose memory is measured; 0: none")] = 24,
    gauge: Annotated[float, typer.Option(hidden=True)] = 0,
) -> None:
    """Print PSNR from the whole, steps at the borders of tiles, and the memory of a large picture."""
    with tempfile.TemporaryDirectory() as folder:
        path = model or untrained(Path(folder) / "untrained.onnx", width)
        if gauge:
            print(_megabytes(path, gauge))
            return
        translator = Model.open(path)
        print(f"Tiles of {side} pixels. Steps: at the borders of tiles, by those elsewhere.\n")
        print("| picture | size | tiles | PSNR, shared statistics | own | step, whole | shared | own |")
        print("|---" * 8 + "|")
        for name in (*PHOTOGRAPHS, "half"):
            pixels = photograph(name, scale)
            whole = translator(Picture(pixels)).pixels
            tiles.SIDE, standard = side, tiles.SIDE
            grid = translator._grid(pixels.shape[0], pixels.shape[1], pixels.nbytes)
            shared = translator(Picture(pixels)).pixels
            tiles.SIDE = standard
            own = alone(translator, pixels, grid)
            quality = " | ".join(f"{psnr(way, whole):.1f} dB" for way in (shared, own))
            seams = " | ".join(f"{steps(way, grid):.3f}" for way in (whole, shared, own))
            print(f"| {name} | {pixels.shape[1]}×{pixels.shape[0]} | {len(grid)} | {quality} | {seams} |", flush=True)
        if megapixels:
            command = [sys.executable, "-m", "bench.tiling", "--model", str(path), "--gauge", str(megapixels)]
            print("\n" + subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())


def untrained(path: Path, width: int) -> Path:
    """A ResNet-9 whose layers all keep the size of what they are given."""
    import torch
    from torch import nn

    from translate.export import export
    from translate.gan.networks import ResNet
    from translate.runtime.card import Card

    torch.manual_seed(0)
    network = ResNet(width=width)
    for part in network.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(part.weight, 0, part.weight[0].numel() ** -0.5)
    words = {"name": path.stem, "task": "none", "source": "pictures", "target": "pictures"}
    reach = int(network.reach or 0)
    return export(network, Card(**words, size=256, reach=reach, stride=network.stride, tiling="statistics"), path)


def photograph(name: str, scale: float = 1) -> Pixels:
    """A photograph of scikit-image; `half` is dark on the left and bright on the right."""
    pixels: Pixels = getattr(data, "astronaut" if name == "half" else name)()
    size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
    resized = np.array(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
    if name == "half":
        middle = resized.shape[1] // 2
        resized[:, :middle] //= 10
        resized[:, middle:] = 215 + resized[:, middle:] // 7
    return resized


def alone(translator: Model, pixels: Pixels, grid: Grid) -> Pixels:
    """What tiles become that know nothing of one another."""
    result = np.empty_like(pixels)
    for row, column, window in grid.windows(pixels):
        translated = translator(Picture(np.ascontiguousarray(window))).pixels
        rows, columns = slice(row.core_start, row.core_stop), slice(column.core_start, column.core_stop)
        result[rows, columns] = translated[
            row.core_start - row.start : row.core_stop - row.start,
            column.core_start - column.start : column.core_stop - column.start,
        ]
    return result


def psnr(one: Pixels, other: Pixels) -> float:
    """In dB, at most 99."""
    error = float(np.square(one.astype(float) - other).mean()) / 255**2
    return min(99.0, -10 * math.log10(error)) if error else 99.0


def steps(pixels: Pixels, grid: Grid) -> float:
    """Mean difference of neighbours on either side of a tile's border, by that of all other neighbours."""
    at_borders, elsewhere = [], []
    for axis, spans in ((0, grid.rows), (1, grid.columns)):
        differences = np.abs(np.diff(pixels.astype(float), axis=axis)).mean(axis=(1 - axis, 2))
        borders = [span.core_start - 1 for span in spans[1:]]
        at_borders += list(differences[borders])
        elsewhere += list(np.delete(differences, borders))
    return float(np.mean(at_borders) / np.mean(elsewhere)) if at_borders else 1.0


def _megabytes(path: Path, megapixels: float) -> str:
    height = round(math.sqrt(megapixels * 1e6 / 1.5) / 8) * 8
    small = Image.fromarray(photograph("coffee"))
    pixels = np.array(small.resize((height * 3 // 2, height), Image.Resampling.BICUBIC))
    translator, start = Model.open(path), time.perf_counter()
    translator(Picture(pixels), consume=True)
    took, most = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return f"{pixels.shape[1]}×{pixels.shape[0]} pixels, in one process: at most {most:.0f} MiB, {took:.0f} s."


if __name__ == "__main__":
    typer.run(main)
