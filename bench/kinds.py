"""What is measured of translations between two kinds of pictures without pairs, on held-out ones.

- What a classifier of the two kinds takes them for (`bench.recognised`).
- How far their patches are from those of the target's pictures (`bench.patches`).
- How much of the source's brightness they keep. The other two would praise a translator that answers
  with any picture of the target's.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import cosine_similarity

from bench.patches import sliced_wasserstein
from bench.recognised import CROPS, fitted, learned, taken
from translate.data import unpaired
from translate.data.layouts import View
from translate.data.pixels import to_tensor
from translate.metrics.networks import Exported


class Kinds:
    """Held-out pictures of `size` and those learned from. The classifier lies at `path`, or comes to."""

    def __init__(self, domains: unpaired.Domains, size: int, path: Path) -> None:
        if not all(domains.held):
            raise SystemExit("no pictures are held out: set data.holdout")
        self.x, self.y = _pictures(domains.held, size)
        self.like_x, self.like_y = _pictures(domains.learned, size)
        self._reader = Exported(path) if path.exists() else learned(domains, CROPS, path)

    def scores(self, there: Callable[[Tensor], Tensor], back: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """Of the translators, each of which is given one picture after the other: `[1, 3, S, S]` in -1..1."""
        fake_y, fake_x = (torch.cat([way(x) for x in given.split(1)]) for way, given in ((there, self.x), (back, self.y)))
        kept = {"there, brightness": brightness(self.x, fake_y), "back, brightness": brightness(self.y, fake_x)}
        return self._alike(fake_y, fake_x) | kept

    def gauges(self) -> dict[str, dict[str, float]]:
        """Where translations begin, and how far they can come: as they are, and the target's own."""
        return {"untranslated": self._alike(self.x, self.y), "the target's own": self._alike(self.y, self.x)}

    def _alike(self, like_y: Tensor, like_x: Tensor) -> dict[str, float]:
        scores = {}
        for way, kind, given, reals in (("there", 1, like_y, self.like_y), ("back", 0, like_x, self.like_x)):
            scores[f"{way}, recognised"] = round(float(np.mean([taken(self._reader, _image(x)) == kind for x in given])), 4)
            scores[f"{way}, patches"] = round(float(np.mean(sliced_wasserstein(given, reals))), 4)
        return scores


def brightness(x: Tensor, y: Tensor) -> float:
    """Mean over pictures of the correlation of their brightness, pixel by pixel: -1 where all that was dark is bright."""
    x, y = (t.mean(1).flatten(1) for t in (x, y))
    x, y = (t - t.mean(1, keepdim=True) for t in (x, y))
    return round(cosine_similarity(x, y).mean().item(), 4)


def _pictures(part: Iterable[Sequence[View]], size: int) -> list[Tensor]:
    """Of each kind `[N, 3, S, S]` in -1..1."""
    return [torch.stack([to_tensor(np.asarray(x.convert("RGB"))) for x in fitted(views, size)]) for views in part]


def _image(picture: Tensor) -> Image.Image:
    return Image.fromarray(((picture + 1) * 127.5).round().byte().permute(1, 2, 0).numpy())
