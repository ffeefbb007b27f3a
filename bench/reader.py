"""Reader: the small classifier by which `bench.adaptation` and `bench.recognised` judge translators."""

from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from translate.data.generative import Pictures
from translate.training.samples import seeded

SIZE = 32


class Reader(nn.Module):
    """LeNet's kind, with what has become usual since, batch normalisation and dropout; pictures `[N, C, S, S]` in -1..1."""

    def __init__(self, size: int = SIZE, channels: int = 1, classes: int = 10, width: int = 16) -> None:
        super().__init__()
        self.size, self.channels = size, channels
        layers: list[nn.Module] = []
        for inputs, outputs in ((channels, width), (width, 2 * width), (2 * width, 2 * width)):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]
        hidden = [nn.Flatten(), nn.Dropout(0.3), nn.Linear(2 * width * (size // 8) ** 2, 128), nn.ReLU(), nn.Dropout(0.3)]
        self.body = nn.Sequential(*layers, *hidden, nn.Linear(128, classes))

    @classmethod
    def trained(cls, data: Pictures, steps: int = 1500, batch: int = 128) -> Self:
        """The same weights each time; nobody else's random numbers are disturbed."""
        with seeded(0), torch.enable_grad():
            _, channels, _, size = data.pictures.shape
            reader = cls(size, channels, int(data.classes.max()) + 1)
            optimiser = torch.optim.AdamW(reader.parameters(), 2e-3)
            schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
            for _ in range(steps):
                chosen = torch.randint(len(data.pictures), (batch,))
                loss = cross_entropy(reader(data.pictures[chosen]), data.classes[chosen])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
        return reader.eval().requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)

    @torch.no_grad()
    def read(self, pictures: Tensor) -> Tensor:
        """The class, `[N]`, that it takes each picture for."""
        return torch.cat([self(part).argmax(dim=1) for part in pictures.split(500)])

    def accuracy(self, data: Pictures) -> float:
        """Share of the pictures whose class it reads."""
        return float((self.read(data.pictures) == data.classes).float().mean())

    def write(self, path: Path) -> None:
        """As `.onnx`, which takes `[N, S, S, 3]` in 0..1 and is what `translate-eval --classifier` asks for."""
        path.parent.mkdir(parents=True, exist_ok=True)
        dynamic = {"image": {0: torch.export.Dim.DYNAMIC}}
        image = torch.zeros(2, self.size, self.size, 3)
        torch.onnx.export(
            _OfColours(self).eval(),
            (image,),
            path,
            input_names=["image"],
            dynamic_shapes=dynamic,
            dynamo=True,
            external_data=False,
        )


class _OfColours(nn.Module):
    def __init__(self, reader: Reader) -> None:
        super().__init__()
        self.reader = reader

    def forward(self, image: Tensor) -> Tensor:
        pictures = image.permute(0, 3, 1, 2)
        grey = pictures.mean(dim=1, keepdim=True) if self.reader.channels == 1 else pictures
        return self.reader(grey * 2 - 1)
