"""Stabilisers: what keeps training steady beside objective and constraint. Each is usable by itself."""

from translate.gan.stabilisers.averages import EMA, HistoricalAveraging
from translate.gan.stabilisers.minibatch import (
    FeatureMatching,
    MinibatchDiscrimination,
    MinibatchScore,
    PullingAway,
    feature_matching,
    pulling_away,
)
from translate.gan.stabilisers.pool import PicturePool
from translate.gan.stabilisers.softening import InstanceNoise, LabelSmoothing
from translate.gan.stabilisers.virtual import ReferenceBatch, VirtualBatchNorm

__all__ = [
    "EMA",
    "STABILISERS",
    "FeatureMatching",
    "HistoricalAveraging",
    "InstanceNoise",
    "LabelSmoothing",
    "MinibatchDiscrimination",
    "MinibatchScore",
    "PicturePool",
    "PullingAway",
    "ReferenceBatch",
    "Stabiliser",
    "VirtualBatchNorm",
    "feature_matching",
    "pulling_away",
]

Stabiliser = InstanceNoise | LabelSmoothing | FeatureMatching | MinibatchScore | PullingAway | HistoricalAveraging
"""What a recipe can add to an adversary; the other stabilisers are layers, or belong to a model or the trainer."""

STABILISERS: dict[str, type[Stabiliser]] = {
    "instance-noise": InstanceNoise,
    "label-smoothing": LabelSmoothing,
    "feature-matching": FeatureMatching,
    "minibatch-discrimination": MinibatchScore,
    "pulling-away": PullingAway,
    "historical-averaging": HistoricalAveraging,
}
