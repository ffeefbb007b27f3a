"""Networks, one idea per file. They import `blocks` and nothing else of the project."""

from torch import nn

from translate.gan.networks.autoencoder import AutoencoderCritic
from translate.gan.networks.dcgan import DCGANCritic, DCGANEncoder, DCGANGenerator
from translate.gan.networks.mlp import MLPCritic, MLPEncoder, MLPGenerator
from translate.gan.networks.patchgan import PatchGAN
from translate.gan.networks.resnet import ResNet
from translate.gan.networks.restorer import Restorer
from translate.gan.networks.unet import UNet

NETWORKS: dict[str, type[nn.Module]] = {
    "mlp-generator": MLPGenerator,
    "mlp-critic": MLPCritic,
    "mlp-encoder": MLPEncoder,
    "dcgan-generator": DCGANGenerator,
    "dcgan-critic": DCGANCritic,
    "dcgan-encoder": DCGANEncoder,
    "autoencoder-critic": AutoencoderCritic,
    "unet": UNet,
    "resnet": ResNet,
    "patchgan": PatchGAN,
    "restorer": Restorer,
}
