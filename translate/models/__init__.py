"""Systems, one file each, readable as their paper's algorithm box."""

from torch import nn

from translate.models.cgan import CGAN

MODELS: dict[str, type[nn.Module]] = {"cgan": CGAN}
