"""Tiles that come at the same moment go through a network as one batch, and come out as each would have alone."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tiny_models import build
from translate.runtime import model as model_module
from translate.runtime import together
from translate.runtime.errors import TranslationFailed
from translate.runtime.model import Model
from translate.runtime.picture import Picture
from translate.runtime.sessions import Session, start
from translate.runtime.together import Together


class Network:
    """Doubles its tiles, tells of each batch, and works on when it is let."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, ...]] = []
        self.let, self.busy = threading.Event(), threading.Event()

    def get_inputs(self) -> list[Any]:
        return []

    get_outputs = get_inputs

    def run(self, targets: list[str], feeds: dict[str, np.ndarray], options: Any = None) -> list[np.ndarray]:
        self.batches.append(feeds["image"].shape)
        self.busy.set()
        assert self.let.wait(20)
        if (feeds["image"] < 0).any():
            raise ValueError("below 0")
        return [feeds["image"] * 2 + feeds.get("given", 0)]


@pytest.fixture
def network() -> Network:
    return Network()


def tile(value: float, side: int = 4) -> dict[str, np.ndarray]:
    return {"image": np.full((1, side, side, 3), value, np.float32)}


def asked(net: Together, network: Network, tiles: list[dict[str, np.ndarray]]) -> list[Any]:
    """The answers to tiles of which all but the first come while the first is in the network."""

    def ask(feeds: dict[str, np.ndarray]) -> Any:
        try:
            return net.run(["out"], feeds)[0]
        except ValueError as error:
            return error

    with ThreadPoolExecutor(len(tiles)) as pool:
        first = pool.submit(ask, tiles[0])
        assert network.busy.wait(20)
        others = [pool.submit(ask, feeds) for feeds in tiles[1:]]
        wait_until(lambda: sum(len(batch.feeds) for batch in net._open.values()) + full(net, tiles) >= len(tiles) - 1)
        network.let.set()
        return [first.result(20), *(each.result(20) for each in others)]


def full(net: Together, tiles: list[dict[str, np.ndarray]]) -> int:
    """Tiles in batches that have been closed because they are full."""
    return (len(tiles) - 1) // net._most * net._most


def wait_until(true: Callable[[], bool]) -> None:
    ever = threading.Event()
    for _ in range(2000):
        if true():
            return
        ever.wait(0.01)
    raise AssertionError("it never came to be")


def test_what_comes_meanwhile_is_one_batch(network: Network) -> None:
    answers = asked(Together(network, most=8), network, [tile(k) for k in range(6)])
    assert network.batches == [(1, 4, 4, 3), (5, 4, 4, 3)]
    for k, answer in enumerate(answers):
        np.testing.assert_array_equal(answer, tile(2 * k)["image"])


def test_batches_are_bounded_and_of_one_shape(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "PIXELS", 4 * 4 * 4)
    sides = [4, 4, 4, 4, 4, 4, 8, 8]  # of 4, four to a batch; of 8 one
    net = Together(network, most=8)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(net.run, ["out"], tile(0))
        assert network.busy.wait(20)
        others = [pool.submit(net.run, ["out"], tile(k + 1, side)) for k, side in enumerate(sides[1:])]
        wait_until(lambda: sum(len(batch.feeds) for batch in net._open.values()) >= 1)
        network.let.set()
        answers = [first.result(20)[0], *(each.result(20)[0] for each in others)]
    assert max(shape[0] for shape in network.batches) <= 4
    assert all(shape[0] == 1 for shape in network.batches if shape[1] == 8)
    for k, (answer, side) in enumerate(zip(answers, sides, strict=True)):
        np.testing.assert_array_equal(answer, tile(2 * k, side)["image"])


def test_one_at_fault_is_alone_in_it(network: Network) -> None:
    answers = asked(Together(network), network, [tile(value) for value in (0, 1, -1, 2)])
    assert [type(answer) for answer in answers] == [np.ndarray, np.ndarray, ValueError, np.ndarray]
    np.testing.assert_array_equal(answers[3], tile(4)["image"])


def test_statistics_of_another_picture_are_another_batch(network: Network) -> None:
    ones, twos = np.ones((), np.float32), np.full((), 2, np.float32)
    tiles = [tile(k) | {"given": given} for k, given in enumerate((ones, ones, twos, ones, twos))]
    answers = asked(Together(network), network, tiles)
    assert sorted(shape[0] for shape in network.batches) == [1, 2, 2]
    for k, (answer, given) in enumerate(zip(answers, (1, 1, 2, 1, 2), strict=True)):
        np.testing.assert_array_equal(answer, tile(2 * k + given)["image"])


def test_nobody_waits_alone(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "WAIT", 1000)
    network.let.set()
    net = Together(network)
    for k in range(3):
        np.testing.assert_array_equal(net.run(["out"], tile(k))[0], tile(2 * k)["image"])


@pytest.mark.parametrize("kind", ["invert", "noisy", "settle"])
def test_pictures_are_those_of_a_model_without_batches(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"{kind}.onnx"
    path.write_bytes(build(kind, name=kind))
    pictures = [np.random.default_rng(k).integers(0, 256, (32, 48, 3), np.uint8) for k in range(12)]
    alone = Model.open(path)
    expected = [alone(Picture(each.copy()), seed=k).pixels for k, each in enumerate(pictures)]

    sizes: list[int] = []

    def on_the_processor(path: Path | bytes, device: str, threads: int, at_once: int = 1) -> Session:
        network = start(path, "cpu", threads, at_once)

        class Told:
            get_inputs, get_outputs = staticmethod(network.get_inputs), staticmethod(network.get_outputs)

            def run(self, targets: list[str], feeds: dict[str, Any], options: Any = None) -> Any:
                sizes.append(len(feeds["image"]))
                time.sleep(0.01)  # as long as a real one takes, so that some come meanwhile
                return network.run(targets, feeds, options)

        return Told()

    monkeypatch.setattr(model_module, "start", on_the_processor)
    monkeypatch.setattr(together, "WAIT", 0.2)
    batched = Model.open(path, device="cuda")
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda k: batched(Picture(pictures[k].copy()), seed=k).pixels, range(12)))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert sum(sizes) == 12
    assert max(sizes) > 1


def test_errors_are_told_as_without_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "nan.onnx"
    path.write_bytes(build("nan", name="nan"))
    monkeypatch.setattr(model_module, "start", lambda path, device, *more: start(path, "cpu", *more))
    with pytest.raises(TranslationFailed, match="no numbers"):
        Model.open(path, device="cuda")(Picture(np.zeros((8, 8, 3), np.uint8)))


# Mutants tried: shapes are mixed; the answers are dealt out in reverse; an error is everybody's; the statistics of the first are
# everybody's; one alone waits as well.
