"""Migration: weights of the reference's layout make the same pictures here, and whatever is wrong with a file is said."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

import translate
from tests import reference_layout as reference
from translate import migrate
from translate.cli.export import app
from translate.export import check_reach, tiling

GENERATORS: dict[str, Callable[..., reference.Net]] = {
    "resnet_9blocks": lambda *args, **options: reference.resnet(9, *args, **options),
    "resnet_6blocks": lambda *args, **options: reference.resnet(6, *args, **options),
    "unet_256": lambda *args, **options: reference.unet(8, *args, **options),
    "unet_128": lambda *args, **options: reference.unet(7, *args, **options),
}


def taken_over(net: nn.Module, **options: bool) -> nn.Module:
    state = net.state_dict()
    return migrate.generator(state, migrate.recognise(state), **options).eval()


def picture(arch: str, channels: int = 3) -> Tensor:
    height, width = {"resnet": (24, 40), "unet_128": (128, 256), "unet_256": (256, 256)}.get(arch, (24, 40))
    return torch.rand(1, channels, height, width, generator=torch.Generator().manual_seed(1)) * 2 - 1


@torch.no_grad()
def agree(one: nn.Module, other: nn.Module, x: Tensor, *noise: Tensor) -> None:
    wanted = one(x)
    assert wanted.std() > 0.1  # or there would be nothing to tell apart
    torch.testing.assert_close(other(x, *noise), wanted, atol=2e-5, rtol=0)


@pytest.mark.parametrize("evaluate", [False, True], ids=["its own statistics", "eval"])
@pytest.mark.parametrize("norm", migrate.NORMS)
@pytest.mark.parametrize("arch", migrate.ARCHS)
def test_the_same_pictures(arch: str, norm: str, evaluate: bool) -> None:
    net = reference.restless(GENERATORS[arch](norm)).train(not evaluate)
    assert migrate.recognise(net.state_dict(), arch, norm) == migrate.Layout(arch, norm, dropout=False)
    agree(net, taken_over(net, evaluate=evaluate, dropout=False), picture(arch))


def test_one_picture_s_statistics_are_not_its_neighbour_s() -> None:
    network = taken_over(reference.restless(reference.resnet(6, "batch")))
    x = torch.cat([picture("resnet"), -picture("resnet").roll(1)])
    with torch.no_grad():
        torch.testing.assert_close(network(x)[:1], network(x[:1]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("arch", ["unet_256", "unet_128", "resnet_6blocks"])
@pytest.mark.parametrize("z", [-1, 1], ids=["nothing kept", "everything kept"])
def test_dropout_is_noise_at_the_same_places(arch: str, z: float) -> None:
    net = reference.restless(GENERATORS[arch]("instance", dropout=True))
    for part in net.modules():
        if isinstance(part, nn.Dropout):
            part.register_forward_hook(lambda _, inputs, __: inputs[0] * (1 + z))
    network = taken_over(net)
    x, noise = picture(arch), network.noise
    shape = (1, noise["channels"], *(side // noise["every"] for side in x.shape[2:]))  # type: ignore[index,operator]
    agree(net, network, x, torch.full(shape, float(z)))
    assert taken_over(net, dropout=False).noise is None
    assert taken_over(net, evaluate=True).noise is None


def test_dropout_draws_each_block_s_own_numbers() -> None:
    torch.manual_seed(0)
    network = taken_over(reference.restless(reference.resnet(6, "none", dropout=True)))
    x, z = picture("resnet"), torch.rand(1, 6 * 16, 6, 10) * 2 - 1
    with torch.no_grad():
        assert torch.equal(network(x, z), network(x, z))
        assert not torch.equal(network(x), network(x))
        for block in range(6):
            other = z.clone()
            other[:, 16 * block : 16 * (block + 1)] *= -1
            assert not torch.equal(network(x, z), network(x, other))


@pytest.mark.parametrize(("channels", "out_channels"), [(1, 3), (3, 1)])
@pytest.mark.parametrize("arch", ["unet_128", "resnet_6blocks"])
def test_grey_pictures(arch: str, channels: int, out_channels: int) -> None:
    net = reference.restless(GENERATORS[arch]("instance", channels=channels, out_channels=out_channels))
    network = taken_over(net, dropout=False)
    agree(net, network, picture(arch, channels))
    assert (network.channels, network.out_channels) == (channels, out_channels)


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
def test_files_of_several_gpus_and_of_old_versions(prefix: str, tmp_path: Path) -> None:
    net = reference.restless(reference.resnet(6, "instance"))
    state = {prefix + key: value for key, value in net.state_dict().items()}
    for name, value in (
        ("running_mean", torch.ones(4)),
        ("running_var", torch.ones(4)),
        ("num_batches_tracked", torch.tensor(3)),
    ):
        state[f"{prefix}model.2.{name}"] = value  # InstanceNorm's, which it never used
    torch.save(state, tmp_path / "latest_net_G.pth", _use_new_zipfile_serialization=bool(prefix))  # PyTorch's before 1.6, too
    read = migrate.read(tmp_path / "latest_net_G.pth")
    agree(net, migrate.generator(read, migrate.recognise(read, norm="instance")), picture("resnet"))


class Evil:
    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return Path(self.path).touch, ()  # type: ignore[attr-defined,return-value]


def test_files_that_hold_something_else(tmp_path: Path) -> None:
    path, net = tmp_path / "x.pth", reference.resnet(6, "instance")
    for content, told in (
        ({"epoch": 3, "model": net.state_dict()}, "a dictionary of epoch, model"),
        ([1, 2], "holds list"),
        ({}, "a dictionary of nothing"),
        (net, r"no file of weights alone.*module\.state_dict"),
    ):
        torch.save(content, path)
        with pytest.raises(ValueError, match=told):
            migrate.read(path)
    path.write_bytes(b"no pickle")
    with pytest.raises(ValueError, match="no file of weights alone"):
        migrate.read(path)
    with pytest.raises(ValueError, match=r"elsewhere\.pth cannot be read: No such file"):
        migrate.read(tmp_path / "elsewhere.pth")


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    evil = Evil()
    evil.path = str(tmp_path / "executed")  # type: ignore[attr-defined]
    torch.save({"model.1.weight": evil}, tmp_path / "evil.pth")
    with pytest.raises(ValueError, match="no file of weights alone"):
        migrate.read(tmp_path / "evil.pth")
    assert not (tmp_path / "executed").exists()


def damaged(change: Callable[[dict[str, Tensor]], object], norm: str = "instance") -> dict[str, Tensor]:
    state = reference.resnet(6, norm).state_dict()
    change(state)
    return state


WRONG: dict[str, tuple[Callable[[], dict[str, Tensor]], str]] = {
    "a discriminator": (lambda: reference.patchgan("instance").state_dict(), "discriminator .*net_G"),
    "another program's": (lambda: {"encoder.weight": torch.ones(1)}, "no generator's .*encoder.weight"),
    "ResNet-3": (lambda: reference.resnet(3, "instance").state_dict(), "resnet_3blocks; what can be"),
    "U-Net of 6 levels": (lambda: reference.unet(6, "instance").state_dict(), "U-Net of 6 levels; what can be"),
    "a weight is missing": (lambda: damaged(lambda s: s.pop("model.12.conv_block.5.bias")), "misses model.12.conv_block.5.bias"),
    "the first is missing": (lambda: damaged(lambda s: s.pop("model.1.weight")), "first or the last convolution"),
    "one too many": (lambda: damaged(lambda s: s.update({"model.99.weight": torch.ones(1)})), "has besides model.99.weight"),
    "another shape": (lambda: damaged(lambda s: s.update({"model.4.bias": torch.ones(3)})), r"model.4.bias is \[3\].*\[8\]"),
    "4 channels": (lambda: reference.resnet(6, "instance", channels=4).state_dict(), "3 channels out of 4"),
    "no numbers": (lambda: damaged(lambda s: s["model.4.bias"].fill_(torch.nan)), "model.4.bias .*diverged"),
    "no statistics": (lambda: damaged(lambda s: s.pop("model.2.running_var"), "batch"), "misses model.2.running_var"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_said(wrong: str) -> None:
    make, told = WRONG[wrong]
    state = make()
    with pytest.raises(ValueError, match=told):
        migrate.generator(state, migrate.recognise(state))


def test_another_arch_or_norm_than_was_told() -> None:
    state = reference.unet(7, "batch").state_dict()
    with pytest.raises(ValueError, match=r"of a unet_128, not of a unet_256: give --arch unet_128"):
        migrate.recognise(state, arch="unet_256")
    with pytest.raises(ValueError, match="give --norm batch"):
        migrate.recognise(state, norm="instance")
    with pytest.raises(ValueError, match=r"unknown --arch unet_512; choose from resnet_9blocks"):
        migrate.recognise(reference.unet(7, "batch").state_dict(), "unet_512")


@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize("arch", ["unet_128", "resnet_6blocks"])
def test_weights_of_a_fresh_network_in_the_reference_s_layout(arch: str, norm: str) -> None:
    """What the comparison of two trainings starts from."""
    torch.manual_seed(0)
    layout = migrate.Layout(arch, norm, dropout=False)
    network = migrate.build(layout, width=4)
    for part in network.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            part.weight.data *= 10
    net = GENERATORS[arch](norm, width=4)
    net.load_state_dict(migrate.state_of(network, layout))
    agree(net.train(), network.train(), picture(arch))


# The whole way: a file of the reference becomes a served file.


def exported(tmp_path: Path, net: nn.Module, *options: str) -> Path:
    torch.save(net.state_dict(), tmp_path / "latest_net_G.pth")
    out = tmp_path / "new" / "theirs.onnx"
    command = ["--from-pytorch-cyclegan", str(tmp_path / "latest_net_G.pth"), "--out", str(out), *options]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    return out


def test_dropout_of_a_served_file_is_its_noise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "ARCHS", (*migrate.ARCHS, "resnet_1blocks"))  # more would take long to trace
    net = reference.restless(reference.resnet(1, "none", width=2, dropout=True))
    words = ("--task", "facades", "--source", "labels", "--target", "photographs", "--licence", "CC0")
    out = exported(tmp_path, net, "--arch", "resnet_1blocks", *words)
    card = translate.load(out).card
    assert (card.name, card.task, card.source, card.target, card.licence) == ("theirs", *words[1::2])
    assert (card.size, card.recipe["norm"], card.tiling) == (256, "none", "exact")
    assert card.noise is not None
    for part in net.modules():
        if isinstance(part, nn.Dropout):
            part.register_forward_hook(lambda _, inputs, __: inputs[0] * 2)
    pixels = np.random.default_rng(0).random((1, 32, 40, 3), dtype=np.float32)
    noise = np.ones((1, 32 // card.noise.every, 40 // card.noise.every, card.noise.channels), np.float32)
    (got,) = onnxruntime.InferenceSession(str(out)).run(["translated"], {"image": pixels, "noise": noise})
    with torch.no_grad():
        wanted = net(torch.from_numpy(pixels).permute(0, 3, 1, 2) * 2 - 1).permute(0, 2, 3, 1) / 2 + 0.5
    assert np.abs(got - wanted.numpy()).max() < 1e-4
    assert "photographs" in out.with_suffix(".md").read_text()
    assert json.loads(card.model_dump_json())["recipe"]["weights"] == "latest_net_G.pth"


@pytest.mark.parametrize(("arch", "way"), [("resnet_6blocks", "exact"), ("unet_256", "whole")])
def test_running_statistics_leave_what_may_be_cut_into_tiles(arch: str, way: str) -> None:
    network = taken_over(reference.restless(GENERATORS[arch]("batch", width=1)), evaluate=True)
    assert tiling(network) == way
    if way == "exact":
        check_reach(network, network.reach, network.stride)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "run folder"),
        (["--arch", "unet_128"], "run folder"),
        (["RUN", "--eval"], "run folder"),
        (["RUN", "--from-pytorch-cyclegan", "FILE", "--out", "x.onnx"], "one of them"),
        (["--from-pytorch-cyclegan", "FILE"], "--out"),
        (["--from-pytorch-cyclegan", "FILE", "--out", "Shouting.onnx"], "lower-case"),
        (["--from-pytorch-cyclegan", "NONE", "--out", "x.onnx"], "NONE"),
        (["--from-pytorch-cyclegan", "FILE", "--out", "x.onnx"], "discriminator"),
    ],
)
def test_commands_that_are_refused(options: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(reference.patchgan("batch").state_dict(), "FILE")
    result = CliRunner().invoke(app, options)
    assert result.exit_code == 1
    assert told in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["FILE"]


# Mutants tried: the halves of a joined convolution not exchanged; noise one decoder level lower; folding without the mean;
# running statistics of InstanceNorm refused; one dropout share for all blocks of a ResNet.
