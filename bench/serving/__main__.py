"""The server against a bare loop: `python -m bench.serving [--model FILE …] [--peer litserve]`. Prints Markdown.

In one run, in turns, medians: pictures a second at several concurrencies of a bare loop (decode, ONNX Runtime with all CPUs,
encode, one process), of `translate-serve`, and of a peer. Then where the time goes, the start, and memory. The client has a
process of its own on the same CPUs, so what it takes is missing from the servers; it is told. Without --model: a light network
and a ResNet-9, both untrained.
"""

import signal
import statistics
import sys
import tempfile
from contextlib import AbstractContextManager, ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image
from skimage import data

from bench.serving import systems
from bench.serving.systems import Bare, Load, Server
from bench.tiling import untrained
from translate.runtime.threads import usable_cpus
from translate.training.environment import processor

STAGES = ("read", "queue", "model", "decode", "infer", "encode", "answer")


class Peer(StrEnum):
    litserve = "litserve"


def main(
    model: Annotated[list[Path] | None, typer.Option(help=".onnx translators")] = None,
    peer: Annotated[Peer | None, typer.Option(help="Another server, installed beside")] = None,
    concurrency: Annotated[list[int] | None, typer.Option(help="Requests at once: 1, 4 and 16")] = None,
    side: Annotated[int, typer.Option(help="Of the small pictures, in pixels")] = 256,
    megapixels: Annotated[float, typer.Option(help="Of the large picture, which goes through the first model; 0: none")] = 12,
    seconds: Annotated[float, typer.Option(help="Of each turn")] = 4,
    turns: Annotated[int, typer.Option(help="Of each system, of which the median is taken")] = 5,
    starts: Annotated[int, typer.Option(help="Starts to measure; 0: none")] = 3,
    soak: Annotated[int, typer.Option(help="Requests of mixed sizes while memory is watched; 0: none")] = 10_000,
) -> None:
    """Print ratios, p50 and p99, the stages' shares, the start and memory."""
    print(f"{processor()}, {usable_cpus()} CPUs. Medians of {turns} turns.\n")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        models = model or [light(folder / "light.onnx"), untrained(folder / "resnet9.onnx", 64)]
        cases = [(path, photograph(folder, side * side / 1e6, 1), form) for path in models for form in ("jpeg", "png")]
        if megapixels:
            cases += [(models[0], photograph(folder, megapixels, 1.5), form) for form in ("jpeg", "png")]
        print(
            "| model | picture | out | at once | loop /s | server /s | ratio | p50 ms | p99 ms |" + (" peer /s |" if peer else "")
        )
        print("|---" * (10 if peer else 9) + "|", flush=True)
        shares = [compare(*case, concurrency or [1, 4, 16], seconds, turns, peer) for case in cases]
        print(f"\n| model | picture | out | at once | {' | '.join(STAGES)} | total, ms | sum of the total | beside it | client |")
        print("|---" * (len(STAGES) + 8) + "|")
        print("\n".join(line for lines in shares for line in lines), flush=True)
        if starts:
            _start(starts)
        if soak:
            _soak(models[0], folder, soak)


def light(path: Path) -> Path:
    """A restorer small enough to take 5 to 8 ms for 256 pixels on two cores of a server processor."""
    import torch

    from translate.export import export
    from translate.gan.networks import Restorer
    from translate.runtime.card import Card

    torch.manual_seed(0)
    network = Restorer(width=16, blocks=(1, 1, 1))
    torch.nn.init.normal_(next(network.tail.parameters()), 0, 0.01)
    words = {"name": path.stem, "task": "none", "source": "pictures", "target": "pictures"}
    return export(network, Card(**words, size=256, reach=network.reach, stride=network.stride, tiling="exact"), path)


def photograph(folder: Path, megapixels: float, aspect: float) -> Path:
    """A JPEG of so many pixels, of scikit-image's coffee."""
    height = round((megapixels * 1e6 / aspect) ** 0.5)
    path = folder / f"{round(height * aspect)}x{height}.jpg"
    Image.fromarray(data.coffee()).resize((round(height * aspect), height), Image.Resampling.BICUBIC).save(path, quality=90)
    return path


def compare(
    model: Path, picture: Path, form: str, concurrency: list[int], seconds: float, turns: int, peer: Peer | None
) -> list[str]:
    """Prints the rates; returns the table's lines that tell where the time went."""
    shares = []
    with ExitStack() as stack:
        server = stack.enter_context(systems.ours(model.parent, model.stem))
        bare = Bare(model, picture, form)
        stack.callback(bare.close)
        bare.rate(2)
        server.load([picture], 2, 2, format=form)
        for width in concurrency:
            other = stack.enter_context(_best(model, picture, form, width, seconds)) if peer else None
            count = max(2 * width, round(seconds * bare.rate(2)))
            alone, loads, others = list[float](), list[Load](), list[float]()
            for _ in range(turns):
                alone.append(bare.rate(count))
                loads.append(server.load([picture], count, width, format=form))
                if other:
                    others.append(other.load([picture], count, width).rate)
            rate, loop = statistics.median(load.rate for load in loads), statistics.median(alone)
            latencies = 1000 * np.concatenate([load.latencies for load in loads])
            quantiles = " | ".join(f"{np.percentile(latencies, share):.1f}" for share in (50, 99))
            case = f"{model.stem} | {picture.stem} | {form} | {width}"
            line = f"| {case} | {loop:.2f} | {rate:.2f} | {rate / loop:.2f} | {quantiles} |"
            print(line + (f" {statistics.median(others):.2f} |" if others else ""), flush=True)
            shares.append(_share(case, loads, server))
    return shares


def _share(case: str, loads: list[Load], server: Server) -> str:
    """Means of the stages, in milliseconds; `beside it`: what the client waited for beyond the total."""
    timings = [timing for load in loads for timing in load.timings]
    means = {name: statistics.fmean(timing[name] for timing in timings) for name in (*STAGES, "total")}
    waited = 1000 * statistics.fmean(seconds for load in loads for seconds in load.latencies)
    told = " | ".join(f"{means[name]:.1f}" for name in (*STAGES, "total"))
    sums = sum(means[name] for name in STAGES) / means["total"]
    return f"| {case} | {told} | {sums:.1%} | {waited - means['total']:.1f} | {1000 * server.client / server.sent:.2f} |"


def _best(model: Path, picture: Path, form: str, width: int, seconds: float) -> AbstractContextManager[Server]:
    """The peer with the settings under which it is fastest."""
    cpus = usable_cpus()
    rates = {}
    for workers, threads in {(1, cpus), (cpus, 1), (cpus, cpus), (2 * cpus, 1)}:
        with systems.litserve(model, form, workers, threads) as server:
            server.load([picture], 2 * width, width)
            rates[workers, threads] = server.load([picture], max(2 * width, 20), width).rate
    return systems.litserve(model, form, *max(rates, key=lambda settings: rates[settings]))


def _start(count: int) -> None:
    """Of the model that comes along."""
    seconds, memory = [], []
    for _ in range(count):
        with systems.ours(None, "restore") as server:
            seconds.append(server.started)
            memory.append(server.megabytes())
    print(f"\nFrom start to ready, with `restore`: {statistics.median(seconds):.2f} s; then {statistics.median(memory):.0f} MB.")


def _soak(model: Path, folder: Path, count: int) -> None:
    """The memory of a server while pictures of many sizes and formats go through it."""
    rng, files = np.random.default_rng(0), []
    for number in range(60):
        width, height = rng.integers(16, 641, 2)
        suffix = ("jpg", "png", "webp")[number % 3]
        files.append(folder / f"mixed-{number}.{suffix}")
        Image.fromarray(data.coffee()).resize((int(width), int(height))).save(files[-1])
    with systems.ours(model.parent, model.stem) as server:
        memory = [server.megabytes()]
        for _ in range(10):
            server.load(files, max(1, count // 10), 4)
            memory.append(server.megabytes())
    print(f"\n{count} requests of 16 to 640 pixels a side, JPEG, PNG and WebP; MB at the start and after each tenth:")
    print(", ".join(f"{each:.0f}" for each in memory))


if __name__ == "__main__":
    # As Ctrl-C does: the servers that were started end as well
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    typer.run(main)
