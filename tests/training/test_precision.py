"""bfloat16 in place of float32: chosen where the machine has it, and the first steps' losses stay what they are."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from translate.gan.networks.resnet import Mirrored
from translate.training import environment, fit, processes
from translate.training.recipe import Recipe
from translate.training.run import create
from translate.training.summary import Costless

NETWORKS = {
    "cyclegan": ("generator.width=8", "generator.blocks=2", "critic.network.width=8", "critic.network.layers=2", "data.size=32"),
    "pix2pix": ("generator.width=8", "generator.levels=5", "critic.network.width=8", "critic.network.layers=2", "data.size=64"),
}
STEPS = 4


def losses(name: str, precision: str, folder: Path) -> list[dict[str, float]]:
    told = [f"steps={STEPS}", f"precision={precision}", "device=cpu", "workers=0", "seed=3"]
    recipe = Recipe.load(f"{name}.toml", [*told, *NETWORKS[name]])
    found: list[dict[str, float]] = []
    folder.mkdir()
    fit.fit(recipe, folder, Costless(recipe), lambda status: found.append(dict(status.losses)))
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_the_first_steps_lose_what_they_lose_in_single_precision(name: str, tmp_path: Path) -> None:
    """bfloat16 keeps 1/256 of a number, and Adam's first steps are signs, which rounding turns. Not to the last bit, or it was
    not in bfloat16."""
    single, half = (losses(name, precision, tmp_path / precision) for precision in ("32-true", "bf16-mixed"))
    assert single[0] != half[0]
    for step, (one, other) in enumerate(zip(single, half, strict=True)):
        assert other == pytest.approx(one, rel=0.1 if step else 0.02)
    assert any(abs(single[0][term] - single[-1][term]) > 1e-3 * single[0][term] for term in single[0])  # they moved


def test_a_mirrored_border_is_that_of_a_convolution() -> None:
    torch.manual_seed(0)
    ours = Mirrored(3, 4, 5, padding=2, padding_mode="reflect").double()
    plain = nn.Conv2d(3, 4, 5, padding=2, padding_mode="reflect").double()
    plain.load_state_dict(ours.state_dict())
    x = torch.rand(2, 3, 7, 9, dtype=torch.float64)
    torch.testing.assert_close(ours(x), plain(x))


def test_a_border_is_mirrored_in_the_precision_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.dtype] = []
    pad = nn.functional.pad

    def watched(x: torch.Tensor, *arguments: Any, **named: Any) -> torch.Tensor:
        seen.append(pad(x, *arguments, **named).dtype)
        return pad(x, *arguments, **named)

    monkeypatch.setattr(nn.functional, "pad", watched)
    layer, x = Mirrored(3, 3, 3, padding=1, padding_mode="reflect"), torch.rand(1, 3, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x.bfloat16())
        assert y.dtype == layer(x).dtype == torch.bfloat16
    assert seen == [torch.bfloat16, torch.float32]
    y.float().sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.dtype == torch.float32


@pytest.mark.parametrize(
    ("device", "can", "told"),
    [
        ("cpu: AVX512, 2 threads", {"avx512_bf16": True, "amx_bf16": False}, "bf16-mixed"),
        ("cpu: DEFAULT, 2 threads", {"neon": True, "bf16": True}, "bf16-mixed"),
        ("cpu: AVX2, 2 threads", {"avx2": True}, "32-true"),
        ("mps", {"bf16": True}, "32-true"),
    ],
)
def test_auto_is_bfloat16_where_the_machine_computes_in_it(
    device: str, can: dict[str, bool], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "device_name", lambda _: device)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: can)
    assert processes.precision(Recipe.load("pix2pix.toml", ["precision=auto"])) == told
    for asked in ("32-true", "bf16-mixed"):
        assert processes.precision(Recipe.load("pix2pix.toml", [f"precision={asked}"])) == asked


@pytest.mark.parametrize("can", [True, False])
def test_a_run_keeps_what_auto_was_where_it_began(can: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "computes_bf16", lambda device: can)
    create("gan-ring.toml", None, tmp_path / "run", ["device=cpu", "precision=auto"])
    assert Recipe.load(tmp_path / "run" / "recipe.toml").precision == ("bf16-mixed" if can else "32-true")
