"""Networks, one idea per file. They import `blocks` and nothing else of the project."""

from torch import nn

from translate.gan.networks.patchgan import PatchGAN
from translate.gan.networks.restorer import Restorer

NETWORKS: dict[str, type[nn.Module]] = {"patchgan": PatchGAN, "restorer": Restorer}
