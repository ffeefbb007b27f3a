"""A pool of earlier fakes."""

import torch
from torch import Tensor, nn


class PicturePool(nn.Module):
    """The generator's earlier pictures (Shrivastava et al. 2017, section 2.3; CycleGAN: Zhu et al. 2017, section 4).

    The critic is shown the pool's answer in place of the newest fakes, so that it does not forget. Until `size` pictures are
    held, each is kept and handed back; after that it changes places with a random one of the pool, with probability ½. No
    gradient passes. Chance is torch's global CPU generator; the state dict holds the pictures, so that a resumed run goes on
    exactly.
    """

    pictures: Tensor

    def __init__(self, size: int = 50) -> None:
        super().__init__()
        if size < 1:
            raise ValueError(f"PicturePool: the size must be ≥ 1, not {size}; without a pool, leave it out")
        self.size = size
        self.register_buffer("pictures", torch.empty(0), persistent=False)  # its length changes: see get_extra_state

    def forward(self, fake: Tensor) -> Tensor:
        """`[N, …]` to `[N, …]`, one picture after the other."""
        if len(self.pictures) and self.pictures.shape[1:] != fake.shape[1:]:
            held, given = list(self.pictures.shape[1:]), list(fake.shape[1:])
            raise ValueError(f"PicturePool holds pictures {held} and was given {given}: train on one size")
        return torch.stack([self._exchange(picture) for picture in fake.detach()])

    def _exchange(self, picture: Tensor) -> Tensor:
        if len(self.pictures) < self.size:
            self.pictures = torch.cat([self.pictures.to(picture).view(-1, *picture.shape), picture[None]])
            return picture
        if torch.rand(()) < 0.5:
            return picture
        place = int(torch.randint(self.size, ()))
        earlier = self.pictures[place].clone()
        self.pictures[place] = picture
        return earlier

    def get_extra_state(self) -> Tensor:
        return self.pictures

    def set_extra_state(self, state: Tensor) -> None:
        self.pictures = state.to(self.pictures.device, copy=True)
