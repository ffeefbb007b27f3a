"""Several processes, and processes that are killed: what comes of it is what one that is left alone makes."""

import json
import multiprocessing
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning.fabric import Fabric
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from tests.small_training import TINY, launched
from translate.data.pixels import start_worker
from translate.gan.networks.blocks import SampleBatchNorm
from translate.gan.stabilisers import EMA
from translate.models import System
from translate.training import checkpoint, environment, fit, processes, shards
from translate.training.recipe import Recipe
from translate.training.run import create, resume_run, train
from translate.training.samples import Modes

# A fork has everything imported already; but none can compute gradients beside a GPU's threads.
FORKS = sys.platform == "linux" and not torch.cuda.is_available()
CONTEXT: Any = multiprocessing.get_context("fork" if FORKS else "spawn")
CYCLEGAN = (*TINY, "steps=5", "batch=2", "generator.blocks=1", "validate_every=5", "checkpoint_every=3", "keep=9", "ema=0.9")
ALONE = (*CYCLEGAN, "model.pool=0", "data.holdout=0")
SHARED = (*ALONE, "shard=true", "clip=1", "accumulate=2", "channels_last=true")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight pictures of noise in A, and eight in B."""
    folder = tmp_path_factory.mktemp("domains")
    for domain in ("A", "B"):
        (folder / domain).mkdir()
        for k in range(8):
            picture = np.random.default_rng((ord(domain), k)).integers(0, 255, (30, 24, 3), dtype=np.uint8)
            Image.fromarray(picture).save(folder / domain / f"{k}.png")
    return folder


def started(rank: int, world: int, port: int, work: Callable[..., None], *given: Any) -> None:
    """What torchrun tells each process that it starts."""
    torch.set_num_threads(1)
    here = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world, "GROUP_RANK": 0, "ROLE_RANK": rank}
    os.environ |= {name: str(value) for name, value in here.items()}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "test"}
    work(*given)


def together(work: Callable[..., None], *given: Any, world: int = 2) -> None:
    start_worker(0)  # no fork survives OpenCV's threads
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = [CONTEXT.Process(target=started, args=(rank, world, port, work, *given)) for rank in range(world)]
    for child in children:
        child.start()
    for child in children:
        child.join(120)
    assert [child.exitcode for child in children] == [0] * world


def begin(data: Path, folder: Path, settings: tuple[str, ...]) -> None:
    if not processes.is_first():  # only the first may write
        for place, name in ((checkpoint, "save"), (checkpoint, "write_atomically"), (Path, "mkdir")):
            setattr(place, name, None)
    train(create("cyclegan.toml", data, folder, list(settings)), lambda *_: None)


def in_double(data: Path, folder: Path, settings: tuple[str, ...]) -> None:
    """Where rounding, which Adam raises from step to step, leaves nothing that is seen."""
    torch.set_default_dtype(torch.float64)
    to = fit.to
    fit.to = lambda *given: type(given[0])(*(tensor.double() for tensor in to(*given)))
    begin(data, folder, settings)


def go_on(folder: Path) -> None:
    train(resume_run(folder), lambda *_: None)


def losses(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5]  # each is written once
    return [{key: line[key] for key in line if key.startswith(("generator/", "critic/"))} for line in lines]


def same_losses(one: Path, other: Path, to: float = 1e-3) -> bool:
    """Up to rounding, which five steps of Adam raise."""
    return all(a == pytest.approx(b, rel=to, abs=2e-6) for a, b in zip(losses(one), losses(other), strict=True))


def rewound(run: Path, into: Path) -> Path:
    """The run as it was before its last checkpoint."""
    shutil.copytree(run, into)
    shutil.rmtree(checkpoint.folder(into, 5))
    return into


def same_bits(one: Path, other: Path) -> bool:
    for name in ("weights", "ema", "optimizer", "processes"):
        ours, theirs = (load_file(checkpoint.folder(run, 5) / f"{name}.safetensors") for run in (one, other))
        if ours.keys() != theirs.keys() or not all(ours[key].equal(theirs[key]) for key in ours):
            return False
    return True


def test_two_processes_learn_what_one_learns_and_either_goes_on_for_the_other(folders: Path, tmp_path: Path) -> None:
    begin(folders, tmp_path / "one", ALONE)
    together(begin, folders, tmp_path / "two", ALONE)
    assert same_losses(tmp_path / "two", tmp_path / "one")
    together(go_on, rewound(tmp_path / "one", tmp_path / "widened"))
    assert same_losses(tmp_path / "widened", tmp_path / "one")
    go_on(rewound(tmp_path / "two", tmp_path / "narrowed"))
    assert same_losses(tmp_path / "narrowed", tmp_path / "one")


@pytest.mark.parametrize("shard", ["shard=false", "shard=true"])
def test_in_double_precision_the_losses_of_one_and_of_two_processes_are_the_same_digits(
    shard: str, folders: Path, tmp_path: Path
) -> None:
    for world in (1, 2):
        together(in_double, folders, tmp_path / str(world), (*SHARED, shard), world=world)
    assert same_losses(tmp_path / "2", tmp_path / "1", to=2e-6)  # of which seven are written


def test_two_processes_resumed_end_with_the_same_bits(folders: Path, tmp_path: Path) -> None:
    settings = (*CYCLEGAN, "model.pool=1", "generator.dropout=0.5")  # each process draws its own
    together(begin, folders, tmp_path / "whole", settings)
    together(go_on, rewound(tmp_path / "whole", tmp_path / "resumed"))
    assert same_bits(tmp_path / "whole", tmp_path / "resumed")
    kept = checkpoint.folder(tmp_path / "whole", 5)
    theirs, mine = load_file(kept / "processes.safetensors"), load_file(kept / "weights.safetensors")
    assert not theirs["1/pool_x._extra_state"].equal(mine["pool_x._extra_state"])
    assert not theirs["1/rng"].equal(load_file(kept / "optimizer.safetensors")["rng"])
    weights = load_file(checkpoint.folder(tmp_path / "whole", 3) / "ema.safetensors")
    assert not all(value.equal(load_file(kept / "ema.safetensors")[key]) for key, value in weights.items())


def shared_out(data: Path, folder: Path, settings: tuple[str, ...]) -> None:
    """As `begin`, with every layer split by itself, and a look at what this process holds of it all."""
    shards.LARGE, share_out, strides = 100, fit.share_out, set()

    def looked_at(fabric: Fabric, model: System, ema: EMA) -> None:
        share_out(fabric, model, ema)
        for name, parameter in model.named_parameters():
            rows = len(parameter)
            if name.startswith(("G.", "F.")):
                assert len(parameter.to_local()) == (rows // 2 if fabric.global_rank else -(-rows // 2))
            else:
                assert not shards.is_part(parameter)
        assert all(shards.is_part(average) for average in ema.network.parameters())
        for network in (model.G, model.F):  # what comes out of the last convolution, before the tanh
            network.body[-2].register_forward_hook(lambda layer, given, made: strides.add(made.stride()))

    fit.share_out = looked_at
    begin(data, folder, settings)
    assert (3 * 16 * 16, 1, 3 * 16, 3) in strides  # channels_last
    assert (3 * 16 * 16, 16 * 16, 16, 1) not in strides


def test_two_processes_that_share_weights_out_learn_what_one_learns_and_either_goes_on_for_the_other(
    folders: Path, tmp_path: Path
) -> None:
    begin(folders, tmp_path / "one", SHARED)
    together(shared_out, folders, tmp_path / "two", SHARED)
    assert same_losses(tmp_path / "two", tmp_path / "one")
    for name in ("weights", "ema"):
        one, two = (load_file(checkpoint.folder(tmp_path / run, 5) / f"{name}.safetensors") for run in ("one", "two"))
        assert {key: value.shape for key, value in one.items()} == {key: value.shape for key, value in two.items()}
    together(go_on, rewound(tmp_path / "one", tmp_path / "widened"))
    assert same_losses(tmp_path / "widened", tmp_path / "one")
    go_on(rewound(tmp_path / "two", tmp_path / "narrowed"))
    assert same_losses(tmp_path / "narrowed", tmp_path / "one")
    together(go_on, rewound(tmp_path / "two", tmp_path / "again"))
    together(go_on, rewound(tmp_path / "two", tmp_path / "and again"))
    assert same_bits(tmp_path / "again", tmp_path / "and again")


def diverging(data: Path, folder: Path, settings: tuple[str, ...]) -> None:
    with pytest.raises(FloatingPointError, match=r"generator is (nan|inf)") as told:
        begin(data, folder, settings)
    if processes.is_first():
        (folder / "told.txt").write_text(str(told.value))


@pytest.mark.parametrize("shard", ["shard=false", "shard=true"])
def test_processes_that_diverge_keep_the_whole_batch(shard: str, folders: Path, tmp_path: Path) -> None:
    """Both halves, and what all of them hold of the weights."""
    settings = (*ALONE, shard, "accumulate=2", "optimisers.generator.lr=1e20", "generator.norm=none")
    diverging(folders, tmp_path / "one", settings)
    together(diverging, folders, tmp_path / "two", settings)
    kept = [next((tmp_path / run / "diverged").iterdir()) for run in ("one", "two")]
    assert kept[0].name == kept[1].name
    for file in ("batch", "weights"):
        one, two = (load_file(path / f"{file}.safetensors") for path in kept)
        assert {name: tensor.shape for name, tensor in one.items()} == {name: tensor.shape for name, tensor in two.items()}
        if file == "batch":
            assert all(tensor.equal(two[name]) for name, tensor in one.items())
            assert sorted(one) == ["0/x", "0/y", "1/x", "1/y"]


def test_a_run_of_several_processes_is_gone_on_with_by_as_many(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert environment.command() == "translate-train"
    launched(monkeypatch, rank=3, world=6, local=2)
    assert environment.command() == "torchrun --nnodes 3 --nproc-per-node 2 -m translate.cli.train"
    assert environment.describe("cpu")["processes"] == "6"
    monkeypatch.setattr(sys, "argv", ["/somewhere/train.py", "--resume", "run"])
    assert environment.describe("cpu")["command"] == f"{environment.command()} --resume run"
    waited: list[float] = []
    monkeypatch.setattr(processes.time, "sleep", waited.append)
    processes.let_first_speak()
    monkeypatch.setenv("RANK", "0")
    processes.let_first_speak()
    assert waited == [processes.MANNERS]


def killed_at(call: int, folder: Path) -> None:
    """Goes on with a run until it writes to the disk for the `call`-th time, and then is no more."""
    torch.set_num_threads(1)
    left, real = [call], os.fsync

    def fsync(handle: int) -> None:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        real(handle)

    os.fsync = fsync
    go_on(folder)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill on this system")
def test_killed_wherever_it_writes_a_run_ends_with_the_same_bits(tmp_path: Path) -> None:
    settings = ["steps=5", "checkpoint_every=1", "validate_every=99", "select=", "keep=1", "batch=4", "device=cpu", "log_every=1"]
    settings += ["generator.width=4", "critic.network.width=4", "workers=0"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Modes.__init__, "__defaults__", (80, ()))  # nothing is measured
        whole, killed = (create("wgan-gp-ring.toml", None, tmp_path / name, settings) for name in ("whole", "killed"))
        for call in (4, 9, 12, 14):
            child = CONTEXT.Process(target=killed_at, args=(call, killed.folder))
            child.start()
            child.join(60)
            assert child.exitcode == -signal.SIGKILL
        train(whole, lambda *_: None)
        assert checkpoint.latest(killed.folder) != checkpoint.folder(killed.folder, 5)
        go_on(killed.folder)
    for name in ("weights", "ema", "optimizer"):
        one, other = (load_file(checkpoint.folder(run.folder, 5) / f"{name}.safetensors") for run in (whole, killed))
        assert all(one[key].equal(other[key]) for key in one), name
    assert (whole.folder / "metrics.jsonl").read_text() == (killed.folder / "metrics.jsonl").read_text()


def test_a_batch_that_cannot_be_shared_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    launched(monkeypatch, rank=1, world=2, local=2)
    with pytest.raises(ValueError, match="batch = 3 cannot be shared out evenly among 2 processes"):
        processes.launcher(Recipe.load("gan-ring.toml", ["batch=3"]))
    assert not processes.is_first()


def test_on_gpus_batch_normalisation_is_shared_and_the_average_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes.dist, "broadcast", lambda tensor, src: None)
    model: Any = nn.ModuleDict({"G": nn.Sequential(nn.Conv2d(3, 2, 1), SampleBatchNorm(2))})
    ema, held = EMA(model["G"]), list(model.parameters())
    processes.same_everywhere(SimpleNamespace(world_size=2, device=torch.device("cuda")), model)  # type: ignore[arg-type]
    assert isinstance(model["G"][1], nn.SyncBatchNorm)
    assert isinstance(ema.network[1], SampleBatchNorm)  # type: ignore[index]
    assert all(one is other for one, other in zip(held, model.parameters(), strict=True))
    ema.network.load_state_dict(model["G"].state_dict())
