"""Networks that measures look through: any exported one, Inception, and the backbones of LPIPS. All are given by path."""

import math
import pickle
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn
from torchmetrics.image import LearnedPerceptualImagePatchSimilarity
from torchmetrics.image.fid import NoTrainInceptionV3
from torchvision.models import AlexNet_Weights, SqueezeNet1_1_Weights, VGG16_Weights

DOWNLOAD = "download"
"""Given in place of a file: take it from its makers' site, or from where an earlier download lies."""

_BACKBONES: dict[str, tuple[str, str]] = {
    "features.0.weight (64, 3, 11, 11)": ("alex", AlexNet_Weights.IMAGENET1K_V1.url),
    "features.0.weight (64, 3, 3, 3)": ("vgg", VGG16_Weights.IMAGENET1K_V1.url),
    "features.3.squeeze.weight (16, 64, 1, 1)": ("squeeze", SqueezeNet1_1_Weights.IMAGENET1K_V1.url),
}
"""How each is told by a tensor of its own; VGG16's first layer has the shape of SqueezeNet's, so that one is asked for last."""

_INCEPTION_URL = "https://github.com/toshas/torch-fidelity/releases (weights-inception-2015-12-05-6726825d.pth)"


class Exported:
    """An `.onnx` file with one input, float32 `[N, H, W, 3]` in 0..1, whose first output `[N, D]` counts.

    Where the file fixes H and W, pictures are resized to them, antialiased. Raises `ValueError` where it is another kind of file.
    """

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        if not path.is_file():
            raise ValueError(f"{path} is not a file")
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime's errors have no common base
            raise ValueError(f"{path} cannot be loaded as an .onnx file: {error}") from error
        inputs = self._session.get_inputs()
        shape = inputs[0].shape
        if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(shape) != 4 or shape[3] not in (3, None):
            found = ", ".join(f"{node.name} {node.type} {node.shape}" for node in inputs)
            raise ValueError(f"{path} takes {found}; wanted is one input, float32 [N, H, W, 3] in 0..1")
        self.path, self._input = path, inputs[0].name
        self._size = tuple(shape[1:3]) if all(isinstance(side, int) for side in shape[1:3]) else None

    def __call__(self, picture: Tensor) -> Tensor:
        """`[1, 3, H, W]` to `[1, D]`."""
        if self._size and picture.shape[2:] != self._size:
            picture = nn.functional.interpolate(picture, self._size, mode="bilinear", antialias=True).clamp(0, 1)
        image = np.ascontiguousarray(picture.permute(0, 2, 3, 1).numpy())
        try:
            output = np.asarray(self._session.run(None, {self._input: image})[0])
        except Exception as error:  # the runtime's errors have no common base
            raise ValueError(f"{self.path} failed on a picture of {image.shape[2]}×{image.shape[1]}: {error}") from error
        if output.ndim != 2 or len(output) != 1 or not np.isfinite(output).all():
            raise ValueError(f"{self.path} answered one picture with {output.shape}, not with [1, D] numbers")
        return torch.from_numpy(output)


def inception(path: str) -> Callable[[Tensor], Tensor]:
    """The 2048 features of the original FID. `path`: torch-fidelity's weights, or `DOWNLOAD`. Raises `ValueError`."""
    if path != DOWNLOAD:
        _refuse_pickle(Path(path), "Conv2d_1a_3x3.conv.weight", f"Inception's weights, {_INCEPTION_URL}")
    with _explained("Inception's weights", "--inception", _INCEPTION_URL):
        network = NoTrainInceptionV3("inception-v3-compat", ["2048"], None if path == DOWNLOAD else path)

    @torch.no_grad()
    def features(picture: Tensor) -> Tensor:
        return network((picture * 255).round().byte())

    return features


def lpips(path: str) -> Callable[[Tensor, Tensor], float]:
    """LPIPS (Zhang et al. 2018), less for pictures more alike. The linear weights come with torchmetrics.

    `path`: torchvision's weights of AlexNet, VGG16 or SqueezeNet 1.1, which decide the backbone; or `DOWNLOAD`, of AlexNet.
    Raises `ValueError`.
    """
    net, url = "alex", AlexNet_Weights.IMAGENET1K_V1.url
    if path != DOWNLOAD:
        shapes = _refuse_pickle(Path(path), "", "torchvision's weights of AlexNet, VGG16 or SqueezeNet 1.1")
        told = [known for key, known in _BACKBONES.items() if key in shapes]
        if not told:
            raise ValueError(f"{path} holds the weights of none of AlexNet, VGG16 and SqueezeNet 1.1, as torchvision has them")
        net, url = told[-1]
    with _explained(f"the backbone of LPIPS ({net})", "--lpips", url), _found_at(path, url):
        metric = LearnedPerceptualImagePatchSimilarity(net_type=net, normalize=True)  # type: ignore[arg-type]

    @torch.no_grad()
    def compare(fake: Tensor, real: Tensor) -> float:
        return float(metric(fake, real))

    return compare


def _refuse_pickle(path: Path, key: str, wanted: str) -> set[str]:
    """Names and shapes of the tensors in a file, which libraries that trust it may then read again. Raises `ValueError`."""
    if not path.is_file():
        raise ValueError(f"{path} is not a file; wanted are {wanted}")
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
        shapes = {f"{name} {tuple(tensor.shape)}" for name, tensor in state.items()}
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, AttributeError, ValueError, KeyError) as error:
        raise ValueError(f"{path} cannot be read as weights (tensors by name, and nothing else)") from error
    if key and key not in state:
        raise ValueError(f"{path} does not hold {wanted}")
    return shapes


@contextmanager
def _explained(what: str, option: str, url: str) -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (URLError, OSError) as error:
        raise ValueError(
            f"{what} cannot be downloaded ({error}): fetch them elsewhere, from {url}, and give the file with {option} FILE"
        ) from error
    except RuntimeError as error:  # keys or shapes that do not fit, or a download cut short
        raise ValueError(f"{what} do not fit the network: {error}") from error


@contextmanager
def _found_at(path: str, url: str) -> Iterator[None]:
    """Lets torch.hub find a file in the place of a download; torchmetrics takes no path."""
    if path == DOWNLOAD:
        yield
        return
    usual = torch.hub.get_dir()
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Path(folder) / "checkpoints"
        checkpoints.mkdir()
        (checkpoints / url.rpartition("/")[2]).symlink_to(Path(path).resolve())
        torch.hub.set_dir(folder)
        try:
            yield
        finally:
            torch.hub.set_dir(usual)


def cosine_distance(one: Tensor, other: Tensor) -> float:
    """1 − cos of two `[1, D]`: 0 for the same direction. Zero vectors are equal to one another alone."""
    if torch.equal(one, other):
        return 0.0
    value = float(nn.functional.cosine_similarity(one.double(), other.double()))
    return 1 - value if math.isfinite(value) else 1.0
