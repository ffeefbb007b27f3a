"""What smaller numbers cost and give: `python -m bench.precision --data PHOTOGRAPHS [--model FILE …]`. Prints Markdown.

Each float32 translator is converted as by `translate-export --precision`, without a gate, and run by ONNX Runtime and OpenVINO.
PSNR is of the pictures that were not calibrated on, to those of the float32 file by ONNX Runtime on the processor; times are of
`Model` on one picture of 256×256 pixels, all ways in turn.
"""

import tempfile
import time
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import onnxruntime
import typer
from numpy.typing import NDArray
from PIL import Image

from translate.precision import NotAlike, convert, held_out, looked_at
from translate.runtime.errors import DeviceUnavailable
from translate.runtime.model import Model
from translate.runtime.picture import Picture
from translate.runtime.store import Store
from translate.runtime.threads import usable_cpus
from translate.training.environment import processor

SIDE = 256


class Way(NamedTuple):
    engine: str
    precision: str
    path: Path
    model: Model


def main(
    data: Annotated[Path, typer.Option(help="Folder of pictures as the translators are given them, four at least")],
    models: Annotated[list[str] | None, typer.Option("--model", help="Name or float32 .onnx; restore by default")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each way that are timed")] = 15,
    threads: Annotated[int | None, typer.Option(help="CPU threads of each; all by default")] = None,
) -> None:
    """Print PSNR, time and size of every model by every engine in every precision."""
    versions = [f"{name} {metadata.version(name)}" for name in ("onnxruntime", "openvino") if util.find_spec(name)]
    print(f"Machine: {processor()}, {threads or usable_cpus()} CPUs. {', '.join(versions)}.\n")
    try:
        held = [_deep(pixels) for pixels in held_out(looked_at(data))]
    except ValueError as error:
        raise SystemExit(str(error)) from None
    print(f"PSNR on {len(held)} pictures of {data.resolve().name}, times at {SIDE}×{SIDE}, median of {rounds}.\n")
    print("| model | engine | precision | PSNR to float32, dB | ms | × | MB |\n" + "|---" * 7 + "|")
    for name in models or ["restore"]:
        with tempfile.TemporaryDirectory() as folder:
            source = Store().path(name)
            ways = list(_ways(source, Path(folder), data, threads))
            wanted = [ways[0].model(picture, seed=0).pixels for picture in held]
            times = _times(ways, held[0], rounds)
            for way, took in zip(ways, times, strict=True):
                found = [way.model(picture, seed=0).pixels for picture in held]
                quality = np.mean([_psnr(one, other) for one, other in zip(found, wanted, strict=True)])
                told = "" if way is ways[0] else f"{quality:.1f}"
                print(
                    f"| {source.stem} | {way.engine} | {way.precision} | {told} | {1000 * took:.1f} | {times[0] / took:.2f} | "
                    f"{way.path.stat().st_size / 1e6:.1f} |",
                    flush=True,
                )


def _ways(source: Path, folder: Path, data: Path, threads: int | None) -> Iterator[Way]:
    """ONNX Runtime's float32 on the processor first."""
    files = {"float32": source}
    for kind in ("fp16", "int8"):
        try:
            convert(source, folder / f"{source.stem}-{kind}.onnx", kind, data, least=0)
            files[kind] = folder / f"{source.stem}-{kind}.onnx"
        except NotAlike as error:
            print(f"<!-- {source.stem}, {kind}: {error} -->")
    ways = [("ONNX Runtime", "float32", "cpu"), ("ONNX Runtime", "int8", "cpu")]
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        ways += [("ONNX Runtime, CUDA", kind, "cuda") for kind in ("float32", "fp16")]
    ways += [("OpenVINO", kind, "openvino") for kind in ("float32", "int8")]
    for engine, kind, device in [*ways, ("OpenVINO, bfloat16", "float32", "openvino-bf16")]:
        if kind in files:
            try:
                yield Way(engine, kind, files[kind], Model.open(files[kind], device=device, threads=threads))
            except DeviceUnavailable as error:
                print(f"<!-- {engine}: {error} -->")


def _times(ways: list[Way], picture: Picture, rounds: int) -> list[float]:
    """Seconds a picture. In turn, so that whatever else the machine does slows all of them alike."""
    small = (picture.pixels // 257).astype(np.uint8)
    resized = Picture(np.asarray(Image.fromarray(small).resize((SIDE, SIDE), Image.Resampling.BICUBIC)))
    took = np.empty((rounds + 1, len(ways)))
    for turn in range(rounds + 1):
        for index, way in enumerate(ways):
            began = time.perf_counter()
            way.model(resized, seed=0)
            took[turn, index] = time.perf_counter() - began
    return [float(value) for value in np.median(took[1:], axis=0)]  # the first warms up


def _deep(pixels: NDArray[np.generic]) -> Picture:
    """In 16 bits: rounding of what comes out is no part of what is measured."""
    return Picture(pixels.astype(np.uint16) * (257 if pixels.dtype == np.uint8 else 1))


def _psnr(found: NDArray[np.generic], wanted: NDArray[np.generic]) -> float:
    error = float(np.square(found.astype(float) - wanted.astype(float)).mean()) / 65535**2
    return min(99.0, -10 * float(np.log10(error))) if error else 99.0


if __name__ == "__main__":
    typer.run(main)
