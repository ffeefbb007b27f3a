"""Checkpoints: whole or not at all, and whatever happened to one of them, the one before is found."""

import logging
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from translate.gan.stabilisers import EMA, PicturePool
from translate.training import checkpoint


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net, self.pool = nn.Linear(2, 2), PicturePool(3)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two checkpoints, of steps 1 and 2."""
    for step in (1, 2):
        write(tmp_path, step)
    return tmp_path


def write(run: Path, step: int, others: tuple[checkpoint.Private, ...] = ()) -> Pair:
    torch.manual_seed(step)
    model = Pair()
    model.pool(torch.full((2, 1, 2, 2), float(step)))
    optimiser = torch.optim.AdamW(model.net.parameters())
    model.net(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    tensors = checkpoint.tensors(model, EMA(model.net), {"generator": optimiser})  # type: ignore[arg-type]
    checkpoint.save(run, step, tensors, {"best": None}, others)
    return model


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def alter(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["weights.safetensors", "ema.safetensors", "optimizer.safetensors", "state.json"])
@pytest.mark.parametrize("harm", [truncate, alter, Path.unlink])
def test_what_was_harmed_is_told_and_the_one_before_is_used(
    run: Path, name: str, harm: object, caplog: pytest.LogCaptureFixture
) -> None:
    newest = checkpoint.folder(run, 2)
    assert checkpoint.latest(run) == newest
    harm(newest / name)  # type: ignore[operator]
    with caplog.at_level(logging.WARNING):
        assert checkpoint.latest(run) == checkpoint.folder(run, 1)
    assert str(newest) in caplog.text
    assert name in caplog.text
    with pytest.raises(ValueError, match=name):
        checkpoint.generator_weights(newest)


def test_sums_that_leave_out_a_file_vouch_for_nothing(run: Path) -> None:
    sums = checkpoint.folder(run, 2) / checkpoint.SUMS
    sums.write_text("".join(line for line in sums.read_text().splitlines(keepends=True) if "ema" not in line))
    assert "does not name ema.safetensors" in str(checkpoint.damage(sums.parent))


def test_the_sums_are_those_that_everybody_computes(run: Path) -> None:
    if shutil.which("sha256sum") is None:
        pytest.skip("no sha256sum on this system")
    subprocess.run(["sha256sum", "--check", "--strict", checkpoint.SUMS], cwd=checkpoint.folder(run, 2), check=True)


def test_a_checkpoint_without_sums_is_not_trusted(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    for step in (1, 2):
        (checkpoint.folder(run, step) / checkpoint.SUMS).unlink()
    assert checkpoint.latest(run) is None
    assert f"no checkpoint of {run} is whole" in caplog.text


def test_json_that_is_cut_short_is_named(run: Path) -> None:
    (run / "best.json").write_text('{"step')
    with pytest.raises(ValueError, match=r"best\.json is damaged"):
        checkpoint.generator_weights(run)


def test_a_best_checkpoint_that_is_damaged_says_the_way_out(run: Path) -> None:
    (run / "best.json").write_text('{"step": 1}')
    truncate(checkpoint.folder(run, 1) / "ema.safetensors")
    with pytest.raises(ValueError, match=r"ema\.safetensors.*Without .*best\.json, translate-export takes the newest"):
        checkpoint.generator_weights(run)
    (run / "best.json").unlink()
    assert checkpoint.generator_weights(run)


def test_what_a_kill_left_half_written_is_cleared_away(run: Path) -> None:
    left = run / "checkpoints" / ".00000007.partial"
    left.mkdir()
    write(run, 3)
    assert sorted(path.name for path in left.parent.iterdir()) == ["00000001", "00000002", "00000003"]


def test_a_checkpoint_that_cannot_be_written_leaves_nothing_behind(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(tensors: object, path: Path) -> None:
        if path.name == "optimizer.safetensors":
            raise OSError(28, "No space left on device")
        save_file(tensors, path)  # type: ignore[arg-type]

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(OSError, match=r"00000003 cannot be written.*No space left"):
        write(run, 3)
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["00000001", "00000002"]


def test_each_process_gets_its_own_random_numbers_and_pictures_back(tmp_path: Path) -> None:
    torch.manual_seed(99)
    theirs = {"rng": torch.get_rng_state(), "pool._extra_state": torch.full((1, 1, 2, 2), 9.0)}
    drawn = torch.rand(3)
    first = write(tmp_path, 4, (theirs,))
    expected = torch.rand(3)
    for rank, numbers, picture in ((0, expected, 4.0), (1, drawn, 9.0), (2, expected, 4.0)):
        model = Pair()
        state = checkpoint.load(checkpoint.folder(tmp_path, 4), model, EMA(model.net), rank)  # type: ignore[arg-type]
        assert state["step"] == 4
        assert torch.rand(3).equal(numbers)
        assert (model.pool.pictures == picture).all()
        assert model.net.weight.equal(first.net.weight)
    assert "1/rng" in load_file(checkpoint.folder(tmp_path, 4) / "processes.safetensors")
