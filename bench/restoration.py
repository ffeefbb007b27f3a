"""Restoration against what people can do without it: `python -m bench.restoration --data DIR`.

DIR is the folder that `restore.toml` is trained from; only pictures that training held out are measured. Prints Markdown.
"""

import io
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import cv2
import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

import translate
from translate.data.damage import gaussian_noise
from translate.data.layouts import pictures, spread
from translate.data.paired import both, find, read
from translate.data.pixels import to_tensor
from translate.metrics.fidelity import psnr, ssim
from translate.runtime.model import Model
from translate.runtime.store import Store
from translate.runtime.threads import usable_cpus
from translate.training.environment import processor
from translate.training.recipe import Recipe

Pixels = NDArray[np.uint8]

LARGE = (4000, 3000)
"""Width and height of the photograph that is timed."""


class Case(NamedTuple):
    damaged: Pixels
    clean: Pixels


Method = Callable[[Case], Pixels]


def main(
    data: Annotated[Path, typer.Option(help="The folder that restore.toml is trained from")],
    models: Annotated[
        list[str] | None, typer.Option("--model", help="Translators to measure; all that are shipped by default")
    ] = None,
    unseen: Annotated[str, typer.Option(help="Folder in DIR of clean photographs that no training saw")] = "photos/bsds500_val",
    limit: Annotated[int, typer.Option(help="Pictures per set, at most")] = 60,
    out: Annotated[Path | None, typer.Option(help="Folder to write before/after pictures into")] = None,
) -> None:
    """Print PSNR, SSIM and sharpness of every method on every set, and the time of a 12-megapixel photograph."""
    names = models or [name for name in Store().names() if Store().card(name).task == "restoration"]
    if not names:
        raise SystemExit("there is no restoration model: train one with translate-train restore.toml")
    loaded = {Path(name).stem if name.endswith(".onnx") else name: translate.load(name) for name in names}
    ours: dict[str, Method] = {name: _ours(model) for name, model in loaded.items()}
    print(f"Machine: {processor()}, {usable_cpus()} CPUs. Sharpness: mean gradient, clean = 1.\n")

    old = list(_old_photographs(data, limit))
    if not old:
        print("No held-out pairs in this folder: nothing to measure on old photographs.\n")
    else:
        _table(f"Synthetic old photographs, held out ({len(old)} pairs)", old, OLD_METHODS | ours, out)
    photographs = [read(path) for path in spread(pictures(data / unseen), min(limit, 24))]
    if not photographs:
        raise SystemExit(f"{data / unseen} holds no pictures: name a folder of clean photographs with --unseen")
    rng = np.random.default_rng(0)
    noisy = [Case(gaussian_noise(photograph, 25 / 255, rng), photograph) for photograph in photographs]
    _table(
        f"Gaussian noise, σ = 25/255 ({len(noisy)} photographs of {unseen})",
        noisy,
        {"as it is": _as_it_is} | _best_nlm(noisy) | ours,
    )
    blocky = [Case(_jpeg(photograph, 20), photograph) for photograph in photographs]
    _table(f"JPEG, quality 20 ({len(blocky)} photographs)", blocky, {"as it is": _as_it_is} | ours)
    untouched = [Case(photograph, photograph) for photograph in photographs]
    _table(f"Do no harm: clean photographs ({len(untouched)})", untouched, ours)
    print("### 12 megapixels, JPEG to JPEG\n\n| model | seconds |\n|---|---|")
    for name, model in loaded.items():
        print(f"| {name} | {_twelve_megapixels(model, photographs):.1f} |", flush=True)


def _table(title: str, cases: Sequence[Case], methods: Mapping[str, Method], out: Path | None = None) -> None:
    print(f"### {title}\n\n| method | PSNR, dB | SSIM | sharpness |\n|---|---|---|---|", flush=True)
    for name, method in methods.items():
        rows = []
        for index, case in enumerate(cases):
            result = method(case)
            near = _shown(result), _shown(case.clean)
            rows.append((psnr(*near), ssim(*near), _sharpness(result) / max(_sharpness(case.clean), 1e-6)))
            if out is not None:
                out.mkdir(parents=True, exist_ok=True)
                Image.fromarray(result).save(out / f"{index:03d}-{name.replace(' ', '-')}.png")
        decibels, alike, sharp = np.mean(rows, axis=0)
        print(f"| {name} | {decibels:.2f} | {alike:.3f} | {sharp:.2f} |", flush=True)
    print()


def _shown(pixels: Pixels) -> Tensor:
    """In 0..1, as `translate-eval` measures: SSIM depends on where 0 is."""
    return to_tensor(pixels)[None] / 2 + 0.5


def _sharpness(picture: Pixels) -> float:
    """Mean length of the luminance gradient (Tenengrad without a threshold)."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)).mean())


def _as_it_is(case: Case) -> Pixels:
    return case.damaged


def _true_mask(case: Case) -> Pixels:
    """Where the damage is, known only because the clean picture is: no user has this."""
    marked = np.abs(case.damaged.astype(np.int16) - case.clean).max(axis=2) > 20
    return np.asarray(cv2.dilate(marked.astype(np.uint8), np.ones((3, 3), np.uint8)), np.uint8)


def _inpaint(algorithm: int) -> Method:
    return lambda case: np.asarray(cv2.inpaint(case.damaged, _true_mask(case), 3, algorithm), np.uint8)


def _nlm(h: float) -> Method:
    return lambda case: np.asarray(cv2.fastNlMeansDenoisingColored(case.damaged, None, h, h, 7, 21), np.uint8)


def _median(case: Case) -> Pixels:
    return np.asarray(cv2.medianBlur(case.damaged, 5), np.uint8)


OLD_METHODS: dict[str, Method] = {
    "as it is": _as_it_is,
    "median 5×5": _median,
    "non-local means, h = 5": _nlm(5),
    "Telea inpainting, given the true mask": _inpaint(cv2.INPAINT_TELEA),
    "Navier–Stokes inpainting, given the true mask": _inpaint(cv2.INPAINT_NS),
}


def _best_nlm(cases: Sequence[Case]) -> dict[str, Method]:
    """fastNlMeansDenoisingColored at the strength that is best on a part of these very pictures."""
    few = cases[:: max(1, len(cases) // 6)]
    scores = {h: np.mean([psnr(_shown(_nlm(h)(case)), _shown(case.clean)) for case in few]) for h in (6, 9, 12, 15, 18, 22)}
    best = max(scores, key=lambda h: scores[h])
    return {f"non-local means at its best (h = {best})": _nlm(best)}


def _ours(model: Model) -> Method:
    return lambda case: np.asarray(model(Image.fromarray(case.damaged)))


def _old_photographs(data: Path, limit: int) -> Iterator[Case]:
    options = Recipe.load("restore.toml").data
    sources = find(data, options.clean, options.pairs, options.overlays, options.holdout, options.target_first)
    for pair in sources.held_pairs[:limit]:
        yield Case(*both(pair))


def _jpeg(picture: Pixels, quality: int) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def _twelve_megapixels(model: Model, photographs: Sequence[Pixels]) -> float:
    """Seconds from a 4000×3000 JPEG file to a restored JPEG file."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source.jpg"
        big = cv2.resize(photographs[0], LARGE, interpolation=cv2.INTER_CUBIC)
        Image.fromarray(big).save(source, quality=92)
        began = time.perf_counter()
        model(source).save(Path(folder) / "restored.jpg")
        return time.perf_counter() - began


if __name__ == "__main__":
    typer.run(main)
