"""Run by test_no_torch: imports all that serves, and translates a picture, where the training libraries cannot be imported.

usage: blocked.py MODEL
"""

import importlib
import pkgutil
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec

FORBIDDEN = {"albumentations", "cv2", "lightning", "onnx", "onnxscript", "scipy", "skimage", "torch", "torchvision"}


class Blocker:
    def find_spec(self, name: str, path: Sequence[str] | None, target: object = None) -> ModuleSpec | None:
        if name.partition(".")[0] in FORBIDDEN:
            raise ImportError(f"{name} must not be needed here", name=name)
        return None


def modules_of(package: str) -> list[str]:
    return [package, *(module.name for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."))]


def main(model: str) -> None:
    sys.meta_path.insert(0, Blocker())
    for name in [
        "translate",
        *modules_of("translate.runtime"),
        *modules_of("server"),
        "translate.cli.serve",
        "translate.cli.batch",
    ]:
        importlib.import_module(name)

    import numpy as np
    from PIL import Image

    import translate

    picture = Image.fromarray(np.full((9, 7, 3), 10, np.uint8))
    assert np.asarray(translate.load(model)(picture)).tolist() == (255 - np.asarray(picture)).tolist()
    assert not FORBIDDEN & {name.partition(".")[0] for name in sys.modules}


if __name__ == "__main__":
    main(sys.argv[1])
