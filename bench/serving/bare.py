"""What the server is measured against: `python -m bench.serving.bare MODEL PICTURE FORMAT`, a loop in one process.

Decode (Pillow), network (ONNX Runtime as it comes, with every CPU), encode (Pillow); no HTTP. For each number that it reads it
does so many pictures and prints the seconds. What is too large to go through a network in one piece goes in the runtime's tiles.
"""

import io
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from PIL import Image

from translate.runtime.codecs.png import LEVEL
from translate.runtime.model import Model, read_card
from translate.runtime.picture import Picture
from translate.runtime.threads import usable_cpus

WHOLE = 1 << 20
"""Pixels up to which a picture goes through in one piece."""
Pixels = NDArray[np.uint8]


def opened(model: Path, threads: int) -> Callable[[Pixels], Pixels]:
    """The network alone, `[H, W, 3]` to `[H, W, 3]`."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    given: dict[str, Any] = {}
    if read_card(model).tiling == "statistics":
        channels = next(value.shape[1] for value in session.get_inputs() if value.name == "statistics")
        given = {"statistics": np.zeros((1, channels, 2), np.float32), "given": np.array(0, np.float32)}

    def whole(pixels: Pixels) -> Pixels:
        (answer,) = session.run(["translated"], {"image": (pixels.astype(np.float32) / 255)[None], **given})
        return (answer[0] * 255 + 0.5).astype(np.uint8)

    return whole


def decoded(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def encoded(image: Image.Image, pixels: Pixels, format: str) -> bytes:
    """As small as the server makes it: the JPEG's own tables, or PNG at its level."""
    file = io.BytesIO()
    if format == "jpeg":
        Image.fromarray(pixels).save(file, "JPEG", qtables=image.quantization, subsampling=2)  # type: ignore[attr-defined]
    else:
        Image.fromarray(pixels).save(file, "PNG", compress_level=LEVEL)
    return file.getvalue()


def main(model: str, picture: str, format: str) -> None:
    content = Path(picture).read_bytes()
    network = opened(Path(model), usable_cpus())
    if decoded(content).width * decoded(content).height > WHOLE:
        tiled = Model.open(model)

        def network(pixels: Pixels) -> Pixels:
            return tiled(Picture(pixels), consume=True).pixels

    for line in sys.stdin:
        began = time.perf_counter()
        for _ in range(int(line)):
            image = decoded(content)
            encoded(image, network(np.array(image)), format)
        print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
