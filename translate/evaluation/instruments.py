"""Which measures are taken: those that the test cases allow, and those that were asked for, with the networks they need."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from translate.evaluation.cases import Cases
from translate.metrics import Measure
from translate.metrics.distance import Distance
from translate.metrics.diversity import Diversity
from translate.metrics.fidelity import Fidelity, psnr, ssim
from translate.metrics.labels import Palette, Recognised, Segmentation
from translate.metrics.networks import DOWNLOAD, Exported, inception, lpips


@dataclass(frozen=True)
class Wanted:
    """What was asked for beside PSNR and SSIM, which are always taken where targets are known."""

    lpips: str = ""
    """File of the backbone's weights, or `download`."""
    inception: str = ""
    """File of Inception's weights, or `download`."""
    features: Path | None = None
    """`.onnx` file, in whose first output FID and KID are taken as well."""
    palette: Palette | None = None
    """The targets are maps of classes in these colours."""
    classifier: Path | None = None
    """`.onnx` file that should read the class of its source off a translation."""
    samples: int = 1
    """Seeds between which diversity is measured."""


@dataclass(frozen=True)
class Instruments:
    measures: list[Measure] = field(default_factory=list)
    diversity: Diversity | None = None
    segmentation: Segmentation | None = None
    missing: dict[str, str] = field(default_factory=dict)
    """What could be measured but was not asked for, and what would be needed."""


def prepare(wanted: Wanted, cases: Cases) -> Instruments:
    """Opens what is needed, before the first picture. Raises `ValueError` where what was asked for cannot be had."""
    known = bool(cases.targets) or cases.noise is not None
    many = known or bool(cases.references)
    measures: list[Measure] = []
    missing: dict[str, str] = {}
    if not known and (wanted.lpips or wanted.palette) and wanted.samples < 2:
        raise ValueError("LPIPS and label maps compare with known targets: name a folder of pairs")
    if not many and (wanted.inception or (wanted.features and wanted.samples < 2)):
        raise ValueError("FID and KID compare with real pictures of the target: give --reference DIR, or a folder of pairs")
    perceptual = lpips(wanted.lpips) if wanted.lpips else None
    if known:
        compare: dict[str, Callable[[Tensor, Tensor], float]] = {"psnr": psnr, "ssim": ssim}
        measures.append(Fidelity(compare | ({"lpips": perceptual} if perceptual else {})))
        if not perceptual:
            missing["lpips"] = f"give --lpips FILE, torchvision's weights of AlexNet; or --lpips {DOWNLOAD}"
    features = Exported(wanted.features) if wanted.features else None
    inner = inception(wanted.inception) if wanted.inception else None
    if many and inner:
        measures.append(Distance(inner))
    if many and features and wanted.features:
        measures.append(Distance(features, suffix=f"-{wanted.features.stem}"))
    if many and not inner:
        missing["fid, kid"] = f"give --inception FILE, or --inception {DOWNLOAD}"
        missing["fid, kid"] += "" if features else "; or --features FILE.onnx, an exported classifier"
    segmentation = Segmentation(wanted.palette) if wanted.palette else None
    if segmentation:
        measures.append(segmentation)
    if wanted.classifier:
        measures.append(Recognised(Exported(wanted.classifier)))
    diversity = Diversity(features or inner, perceptual) if wanted.samples > 1 else None
    if not measures and not diversity:
        raise ValueError(
            "nothing is known of what the translations should look like: give --reference with --inception or --features, "
            "--classifier, or --samples for a model with noise"
        )
    return Instruments(measures, diversity, segmentation, missing)
