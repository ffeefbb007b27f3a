"""Settings that make a recipe small enough for a test."""

SMALL = (
    "steps=6",
    "batch=2",
    "data.size=32",
    "generator.width=4",
    "generator.blocks=[1, 1]",
    "critic.network.width=4",
    "workers=0",
    "log_every=1",
    "checkpoint_every=2",
    "validate_every=3",
    "precision=32-true",
    "device=cpu",
    "data.holdout=0.3",
)
