"""Model: a translator, ready to run. Picture in, picture out, at bounded memory."""

from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from threading import Semaphore
from typing import BinaryIO, Self, TypeAlias, overload

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from PIL import Image

from translate.runtime.card import LUMINANCE, Card
from translate.runtime.errors import DeviceUnavailable, InvalidModel, PictureTooLarge, TranslationFailed
from translate.runtime.noise import draw, draw_seed
from translate.runtime.picture import Picture
from translate.runtime.threads import usable_cpus
from translate.runtime.tiles import Grid, Pixels, Span, side_beside

__all__ = ["WHOLE_LIMIT", "Model", "draw_seed", "read_card"]

Source: TypeAlias = Picture | str | Path | bytes | BinaryIO
Progress = Callable[[int, int], None]
Floats = npt.NDArray[np.float32]

WHOLE_LIMIT = 2048 * 2048
"""Most pixels of a picture that a model with `tiling` `whole` is given; it may need a kilobyte or more for each."""

_LUMINANCE = np.array(LUMINANCE, dtype=np.float32)


class Model:
    """An exported translator: an ONNX Runtime session, its `card`, and tiles. Several threads may share one."""

    def __init__(self, session: ort.InferenceSession, card: Card, at_once: int = 1) -> None:
        self.card = card
        self._session = session
        # More tiles at once than there are CPUs for them would be no faster, and each takes up to 0.7 GB
        self._turns = Semaphore(at_once)

    @classmethod
    def open(cls, path: str | Path, *, device: str = "cpu", threads: int | None = None) -> Self:
        """Opens an `.onnx` file.

        `device` is `cpu`, `cuda` or `cuda:<index>`. `threads` is the number of CPU threads that work on one tile, by default all
        that this process may use; so many tiles are worked on at once as there are CPUs for. Raises `InvalidModel` if the file
        is no translator, and `DeviceUnavailable` if the device is not to be had: a model never runs elsewhere than it was told.
        """
        _refuse_two_runtimes()
        cpus = usable_cpus()
        session = _start(Path(path), device, threads or cpus)
        card = Card.from_metadata(session.get_modelmeta().custom_metadata_map, str(path))
        _check_signature(session, card, str(path))
        return cls(session, card, at_once=max(1, cpus // (threads or cpus)))

    @overload
    def __call__(
        self,
        picture: Image.Image,
        *,
        seed: int | None = None,
        amount: float = 1.0,
        consume: bool = False,
        progress: Progress | None = None,
    ) -> Image.Image: ...

    @overload
    def __call__(
        self,
        picture: Source,
        *,
        seed: int | None = None,
        amount: float = 1.0,
        consume: bool = False,
        progress: Progress | None = None,
    ) -> Picture: ...

    def __call__(
        self,
        picture: Source | Image.Image,
        *,
        seed: int | None = None,
        amount: float = 1.0,
        consume: bool = False,
        progress: Progress | None = None,
    ) -> Picture | Image.Image:
        """Translates a picture; a path, bytes or a file is opened first. A PIL image comes back as a PIL image.

        `seed`, 0 to 2⁶⁴ − 1, makes a model with noise repeatable (draw one with `draw_seed`); others ignore it. `amount`, 0 to 1,
        blends with the original; at 0 the picture comes back as it was. `consume` lets the result take the picture's memory:
        the picture given must not be used afterwards, not even after an error. `progress(done, total)` is called after each tile.

        Raises `PictureTooLarge` if the model cannot work in tiles and the picture is too large for one piece,
        `TranslationFailed` if the model yields no picture, `ValueError` for a seed or an amount out of range, and what
        `Picture.open` raises.
        """
        if not 0 <= amount <= 1:
            raise ValueError(f"amount {amount} is not between 0 and 1")
        if amount < 1 and self.card.scale > 1:
            raise ValueError(
                f"{self.card.name} enlarges pictures, so its result cannot be blended with the original: leave amount at 1"
            )
        if isinstance(picture, Image.Image):
            return self._translate(Picture.from_pil(picture), seed, amount, True, progress).to_pil()
        if not isinstance(picture, Picture):
            picture, consume = Picture.open(picture), True
        return self._translate(picture, seed, amount, consume, progress)

    def _translate(self, picture: Picture, seed: int | None, amount: float, consume: bool, progress: Progress | None) -> Picture:
        source, scale = picture.pixels, self.card.scale
        in_place = consume and scale == 1 and source.flags.writeable
        if amount == 0:
            return picture.with_pixels(source if in_place else source.copy(), alpha=picture.alpha)
        grid = self._grid(picture.height, picture.width, source.nbytes)
        target = source if in_place else np.empty((picture.height * scale, picture.width * scale, source.shape[2]), source.dtype)
        seed = draw_seed() if seed is None else seed
        for done, (row, column, window) in enumerate(grid.windows(source), start=1):
            last_of_many = 1 < done == len(grid)
            kept = self._run(window, row, column, seed, free_memory=last_of_many)[_kept(row, scale), _kept(column, scale)]
            if not np.isfinite(kept).all():
                raise TranslationFailed(f"{self.card.name} computed values that are no numbers: its weights are damaged")
            original = window[_kept(row, 1), _kept(column, 1)] if amount < 1 else None
            target[_core(row, scale), _core(column, scale)] = _to_pixels(kept, source, original, amount)
            if progress is not None:
                progress(done, len(grid))
        return picture.with_pixels(target, alpha=_enlarge(picture.alpha, scale))

    def _grid(self, height: int, width: int, nbytes: int) -> Grid:
        if self.card.tiling == "exact":
            return Grid.cut(height, width, reach=self.card.reach, stride=self.card.stride, side=side_beside(nbytes))
        if height * width > WHOLE_LIMIT:
            raise PictureTooLarge(
                f"{self.card.name} must see a picture in one piece, and takes at most {WHOLE_LIMIT / 1e6:.1f} megapixels; "
                f"this one is {width} x {height}: make it smaller"
            )
        return Grid.whole(height, width)

    def _run(self, window: Pixels, row: Span, column: Span, seed: int, *, free_memory: bool) -> Floats:
        """The network's answer to one tile: float32 `[s·H, s·W, 3]`."""
        options = ort.RunOptions()
        if free_memory:
            # Encoding a large picture needs memory itself; small pictures follow one another faster without this
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        image = window.astype(np.float32)
        image /= np.iinfo(window.dtype).max
        feeds = {"image": np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))[None]}
        if self.card.noise is not None:
            every = self.card.noise.every
            rows, columns = (range(axis.start // every, -(-axis.stop // every)) for axis in (row, column))
            feeds["noise"] = draw(self.card.noise, seed, rows, columns)
        try:
            with self._turns:
                (translated,) = self._session.run(["translated"], feeds, options)
        except Exception as error:  # the runtime's errors have no common base
            raise TranslationFailed(f"{self.card.name} failed on a tile of {len(column)} x {len(row)} pixels: {error}") from error
        expected = (1, len(row) * self.card.scale, len(column) * self.card.scale, 3)
        if translated.shape != expected:
            raise InvalidModel(
                f"{self.card.name} answered {len(column)} x {len(row)} pixels with {translated.shape}, not {expected}"
            )
        result: Floats = translated[0]
        return result


def read_card(path: Path) -> Card:
    """Reads a translator's card without making it ready to run. Raises `InvalidModel`."""
    options = _quiet_options()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = _session(path, options, ["CPUExecutionProvider"], InvalidModel)
    return Card.from_metadata(session.get_modelmeta().custom_metadata_map, str(path))


def _kept(span: Span, scale: int) -> slice:
    """The core, within the tile's own pixels."""
    return slice((span.core_start - span.start) * scale, (span.core_stop - span.start) * scale)


def _core(span: Span, scale: int) -> slice:
    """The core, within the picture."""
    return slice(span.core_start * scale, span.core_stop * scale)


def _to_pixels(translated: Floats, source: Pixels, original: Pixels | None, amount: float) -> Pixels:
    """Floats 0..1 `[H, W, 3]` to the source's depth and channels, rounded half up."""
    peak = np.iinfo(source.dtype).max
    values = translated if source.shape[2] == 3 else (translated @ _LUMINANCE)[:, :, None]
    values = values * np.float32(peak)
    if original is not None:
        values = original + np.float32(amount) * (values - original)
    values += 0.5
    return np.clip(values, 0, peak, out=values).astype(source.dtype)


def _enlarge(alpha: Pixels | None, scale: int) -> Pixels | None:
    if alpha is None or scale == 1:
        return alpha
    size = (alpha.shape[1] * scale, alpha.shape[0] * scale)
    enlarged = np.asarray(Image.fromarray(alpha.astype(np.float32)).resize(size, Image.Resampling.BICUBIC))
    return np.clip(enlarged + 0.5, 0, np.iinfo(alpha.dtype).max).astype(alpha.dtype)


def _start(path: Path, device: str, threads: int) -> ort.InferenceSession:
    options = _quiet_options()
    options.intra_op_num_threads = threads
    kind, _, index = device.partition(":")
    if kind == "cpu" and not index:
        return _session(path, options, ["CPUExecutionProvider"], InvalidModel)
    if kind != "cuda" or (index and not index.isdigit()):
        raise DeviceUnavailable(f"unknown device {device!r}: choose cpu, cuda or cuda:<index>")
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        raise DeviceUnavailable(f"{device} was asked for, but this onnxruntime has no CUDA: install onnxruntime-gpu in its place")
    # The exhaustive search for the fastest algorithm would run again for every new picture size
    cuda = ("CUDAExecutionProvider", {"device_id": index or "0", "cudnn_conv_algo_search": "HEURISTIC"})
    session = _session(path, options, [cuda, "CPUExecutionProvider"], DeviceUnavailable)
    if "CUDAExecutionProvider" not in session.get_providers():
        raise DeviceUnavailable(f"{device} was asked for, but CUDA did not start: check the driver, CUDA and cuDNN")
    return session


def _quiet_options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.inter_op_num_threads = 1
    # Memory planned for one shape is of no use to the next, and is kept: tiles of mixed shapes would add up
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _session(path: Path, options: ort.SessionOptions, providers: list[object], refusal: type[Exception]) -> ort.InferenceSession:
    if not path.is_file():
        raise InvalidModel(f"{path} is not a file")
    try:
        return ort.InferenceSession(str(path), options, providers=providers, enable_fallback=0)
    except Exception as error:  # the runtime's errors have no common base
        raise refusal(f"{path} cannot be loaded: {error}") from error


def _check_signature(session: ort.InferenceSession, card: Card, where: str) -> None:
    """Raises `InvalidModel` unless inputs and outputs are those that the card promises."""
    inputs = {"image": 3} | ({"noise": card.noise.channels} if card.noise else {})
    for kind, promised, found in (("input", inputs, session.get_inputs()), ("output", {"translated": 3}, session.get_outputs())):
        if {node.name for node in found} != set(promised):
            names = ", ".join(node.name for node in found)
            raise InvalidModel(f"{where}: its {kind}s are {names}, but its card promises {', '.join(promised)}")
        for node in found:
            fits = node.type == "tensor(float)" and len(node.shape) == 4 and node.shape[3] in (promised[node.name], None)
            if not fits or any(isinstance(size, int) for size in node.shape[:3]):
                raise InvalidModel(
                    f"{where}: {kind} {node.name} is {node.type} {node.shape}, not float32 [N, H, W, {promised[node.name]}] "
                    "with N, H and W free"
                )


def _refuse_two_runtimes() -> None:
    builds = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino")
    installed = [build for build in builds if any(True for _ in metadata.distributions(name=build))]
    if len(installed) > 1:
        raise DeviceUnavailable(
            f"{' and '.join(installed)} overwrite one another: uninstall them all, then install the one you want"
        )
