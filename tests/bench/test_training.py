"""The benchmark of a step: two trainings that take turns, and what is told of them."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from multiprocessing import Pipe
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bench.loader import pairs
from bench.training import __main__ as training
from bench.training import groups, seeds, sides
from bench.training.sides import Setup, Side
from bench.versus.runs import Curves
from tests.bench import stand_in

TINY = Setup("cyclegan", 32, 1, 1, ("precision=32-true",))


class Thread(threading.Thread):
    """In place of a process, which would import everything again."""

    def __init__(self, target: Callable[..., None], args: tuple[Any, ...], daemon: bool) -> None:
        super().__init__(target=target, args=args, daemon=daemon)


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def pipe() -> tuple[Any, Any]:
        one, other = Pipe()
        return one, SimpleNamespace(send=other.send, recv=other.recv, close=lambda: None)  # both have the same end here

    monkeypatch.setattr("multiprocessing.get_context", lambda kind: SimpleNamespace(Pipe=pipe, Process=Thread))
    monkeypatch.setattr(sides, "keep_pages", lambda: True)


@pytest.mark.usefixtures("threads")
def test_both_sides_do_the_same_work_when_they_are_told_to(tmp_path: Path) -> None:
    answers = []
    for reference in (None, stand_in.write(tmp_path)):  # one after the other, for the second catches what is printed
        side = Side(TINY, reference)
        answers.append([side.ask("count"), side.ask("time", 2), side.ask("profile"), side.ask("count")])
        side.close()
    for count, seconds, spent, again in answers:
        assert seconds > 0
        assert count == again == answers[0][0]
        for phase in ("forward", "backward"):
            assert spent[phase, "convolutions"] > 0
            assert spent[phase, "norms"] > 0
        assert spent["optimiser", "adam"] > 0
        assert ("forward", "adam") not in spent


@pytest.mark.usefixtures("threads")
def test_what_ends_a_side_is_told(tmp_path: Path) -> None:
    side = Side(TINY, tmp_path)
    with pytest.raises(ValueError, match="no checkout of the reference"):
        side.ask("time")
    side.close()


def test_ours_is_the_shipped_recipe_at_full_size() -> None:
    for kind in ("cyclegan", "pix2pix"):
        setup = Setup(kind, 256, 64, 2)
        ours, theirs = setup.ours(), setup.recipe()
        shipped = type(ours).load(f"{kind}.toml")
        assert ours.generator.arguments | {"dropout": 0} == shipped.generator.arguments | {"dropout": 0}
        assert (ours.precision, ours.channels_last) == (shipped.precision, shipped.channels_last)
        assert theirs.precision == "32-true"
        assert ours.optimisers == shipped.optimisers
        assert ours.critic == shipped.critic


@pytest.mark.parametrize(
    ("names", "phase", "group"),
    [
        (["aten::mkldnn_convolution", "aten::conv2d"], "forward", "convolutions"),
        (["aten::convolution_backward", "autograd::engine::evaluate_function: ConvolutionBackward0"], "backward", "convolutions"),
        (["aten::_fused_adamw_", "Optimizer.step#AdamW.step"], "optimiser", "adam"),
        (["aten::native_group_norm"], "forward", "norms"),
        (["aten::reflection_pad2d"], "forward", "padding"),
        (["aten::convolution_overrideable"], "forward", "convolutions"),
        (["aten::im2col"], "forward", "convolutions"),
        (["aten::addmm", "aten::linear"], "forward", "convolutions"),
        (["aten::mean"], "forward", "the rest"),
    ],
)
def test_operations_are_sorted_by_what_they_are_and_belong_to(names: list[str], phase: str, group: str) -> None:
    assert groups.phase(names) == phase
    assert groups.group(names[0]) == group


def test_time_is_neither_lost_nor_counted_twice() -> None:
    outer = SimpleNamespace(name="aten::conv2d", self_cpu_time_total=3000.0, cpu_parent=None)
    inner = SimpleNamespace(name="aten::copy_", self_cpu_time_total=1000.0, cpu_parent=outer)
    spent = groups.spent([outer, inner], 2)
    assert spent == {("forward", "convolutions"): 1.5, ("forward", "copies, casts and joins"): 0.5}
    lines = list(groups.table({"ours": spent}))
    assert lines[-1] == "| together | 2 | 0 | 0 |"
    assert not any(line.startswith("| norms") for line in lines)


def test_the_ratio_is_that_of_medians(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    takes = {"ours": iter([1.0, 2.0, 9.0]), "reference": iter([4.0, 8.0, 6.0])}

    class Fake:
        def __init__(self, name: str) -> None:
            self.name = name

        def ask(self, what: str, steps: int = 1) -> Any:
            return {"count": 4e12, "profile": {("forward", "norms"): 5.0}}[what] if what != "time" else next(takes[self.name])

    @contextlib.contextmanager
    def both(setup: Setup, reference: Path) -> Iterator[dict[str, Fake]]:
        yield {name: Fake(name) for name in takes}

    monkeypatch.setattr(training, "both", both)
    monkeypatch.setattr(training, "reading", lambda kind: {"aligned": 0.007}[kind])
    monkeypatch.setattr(training, "peak", lambda dtype: {torch.float32: 2e12, torch.bfloat16: 8e12}[dtype])
    training.main(Path("anywhere"), ["pix2pix"], 3, 1, 256, 64, 1, True, [], 0, 8)
    told = capsys.readouterr().out
    assert "**3.00×** the reference; of the rounds 0.67 to 4.00." in told
    assert "| ours | 2.000 | 0.500 | 4000 | 2000 | 100% | 25% |" in told
    assert "takes 7 ms more" in told
    assert "| norms | 5 | 0 | 0 | 5 | 0 | 0 |" in told


def test_unknown_systems_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(training.typer.Exit):
        training.main(Path(), ["dualgan"], 1, 1, 32, 1, 1, False, [], 0, 8)
    assert "unknown --model dualgan; choose from cyclegan, pix2pix" in capsys.readouterr().err


def test_ends_of_seeds_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeds, "WIDTH", 1)
    monkeypatch.setattr(seeds, "pairs", lambda folder: pairs(folder, 3))
    lines = list(seeds.compare("cyclegan", 1, 8))
    assert lines[2] == "| | 32-true | bf16-mixed | p, by ranks |"
    assert len(lines) == 4 + 8
    assert all(line.count("±") == 2 for line in lines[4:])


def test_the_end_is_the_last_quarter_and_ranks_tell_it_apart() -> None:
    assert seeds.end(Curves([{"term": float(step)} for step in range(8)])) == {"term": 6.5}
    runs = [[{"term": start + seed / 100} for seed in range(6)] for start in (0, 0, 1)]
    same, apart = (list(seeds.table({"one": runs[0], "other": other}, ""))[-1] for other in runs[1:])
    assert same.endswith("| 1.00 |")
    assert apart.endswith("| 0.00 |")
