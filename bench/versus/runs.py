"""The two trainings: ours by its recipe and loop, the reference's by its own `optimize_parameters`."""

import contextlib
import importlib
import io
import json
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from translate import migrate
from translate.gan.stabilisers import EMA
from translate.models import System
from translate.training import fit, tasks
from translate.training.evaluate import Translations
from translate.training.recipe import Recipe


@dataclass(frozen=True)
class Kind:
    """What is compared: our recipe and the reference's model, and what each calls networks and losses."""

    model: str
    arch: str
    """The reference's generator; {}: our number of blocks, or pixels that our levels halve to one."""
    norm: str
    networks: dict[str, str]
    """The reference's names, and ours."""
    terms: dict[str, tuple[str, ...]]
    """Ours, and those of the reference whose mean it is."""
    settings: tuple[str, ...] = ()


KINDS = {
    "cyclegan": Kind(
        "cycle_gan",
        "resnet_{}blocks",
        "instance",
        {"G_A": "G", "G_B": "F", "D_A": "D_Y", "D_B": "D_X"},
        {
            "generator/adversarial_y": ("G_A",),
            "generator/adversarial_x": ("G_B",),
            "generator/cycle_x": ("cycle_A",),
            "generator/cycle_y": ("cycle_B",),
            "generator/identity_y": ("idt_A",),
            "generator/identity_x": ("idt_B",),
            "critic/critic_y": ("D_A",),
            "critic/critic_x": ("D_B",),
        },
        ("generator.blocks=6",),
    ),
    "pix2pix": Kind(
        "pix2pix",
        "unet_{}",
        "batch",
        {"G": "G", "D": "D"},
        {"generator/adversarial": ("G_GAN",), "generator/l1": ("G_L1",), "critic/critic": ("D_real", "D_fake")},
        # Dropout is left out on both sides: masks that differ would hide every other difference
        ("generator.levels=7", "generator.dropout=0"),
    ),
}


@dataclass
class Curves:
    """Losses of every step, in our names, and measures, by step."""

    losses: list[dict[str, float]] = field(default_factory=list)
    measures: dict[int, dict[str, float]] = field(default_factory=dict)
    rates: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def mean(self, term: str, first: int, last: int) -> float:
        values = [losses[term] for losses in self.losses[first:last]]
        return sum(values) / len(values)


class Faithful(Recipe):
    """Trains what the reference trains: it has no bias where BatchNorm follows, not even where a level has none to remove it."""

    def build(self) -> System:
        model = super().build()
        networks: Any = model
        for _, convolution, _ in list(migrate.pairs(networks.G, layout(self)))[:-1] if self.generator.name == "unet" else ():
            if convolution.bias is not None:
                convolution.bias.requires_grad_(False)
        return model


def layout(recipe: Recipe) -> migrate.Layout:
    kind, told = KINDS[recipe.name], recipe.generator.arguments
    return migrate.Layout(kind.arch.format(told.get("blocks") or 2 ** told["levels"]), kind.norm, dropout=False)


def recipe_of(kind: str, steps: int, size: int, width: int, seed: int, pool: int, extra: Sequence[str] = ()) -> Recipe:
    """Ours, as shipped but for its size. Raises `ValueError` for settings that it does not know."""
    settings = [
        f"steps={steps}",
        f"seed={seed}",
        f"data.size={size}",
        f"data.load={round(size * 286 / 256)}",
        f"generator.width={width}",
        f"critic.network.width={width}",
        *KINDS[kind].settings,
        *([f"model.pool={pool}"] if kind == "cyclegan" else []),
        "workers=0",
        "device=cpu",
        "precision=32-true",
        f"log_every={steps}",
        f"checkpoint_every={steps}",
        f"validate_every={max(1, steps // 8)}",
        *extra,
    ]
    return Faithful.load(f"{kind}.toml", settings)


@dataclass(frozen=True)
class Doubled:
    """A task in double precision, of which nothing is measured but losses."""

    task: tasks.Task
    start_worker: None = None

    def dataset(self) -> Dataset[Any]:
        return _Doubles(self.task.dataset())

    @property
    def judge(self) -> Translations:
        return Translations({})


@dataclass(frozen=True)
class _Doubles(Dataset[Any]):
    samples: Dataset[Any]

    def __getitem__(self, index: int) -> Any:
        sample = self.samples[index]
        return type(sample)(*(tensor.double() for tensor in sample))


@contextlib.contextmanager
def doubles() -> Iterator[None]:
    """Networks that are made now have weights in double precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def train_ours(recipe: Recipe, task: fit.Task, work: Path, tell: Callable[[], None] = lambda: None) -> Curves:
    """`tell` is called after each step, here as below."""
    curves, start = Curves(), time.perf_counter()

    def report(status: fit.Status) -> None:
        curves.losses.append(dict(status.losses))
        curves.rates.append(recipe.optimisers["generator"].learning_rate(status.step - 1, recipe.steps))
        torch.manual_seed(recipe.seed + status.step)  # of the pool's next draws
        tell()

    work.mkdir(parents=True, exist_ok=True)
    fit.fit(recipe, work, task, report)
    curves.seconds = (time.perf_counter() - start) / recipe.steps
    for line in map(json.loads, (work / "metrics.jsonl").read_text(encoding="utf-8").splitlines()):
        measures = {
            key: value
            for key, value in line.items()
            if key != "step" and not key.startswith(("generator/", "critic/", "lr/", "score/"))
        }
        if measures:
            curves.measures[line["step"]] = measures
    return curves


def train_theirs(
    recipe: Recipe, task: fit.Task, reference: Path, twin: int = 0, tell: Callable[[], None] = lambda: None
) -> Curves:
    """`twin`: from weights that are so many times the smallest step larger."""
    curves, kind = Curves(), KINDS[recipe.name]
    ours: Any = recipe.build()
    with importing(reference), contextlib.redirect_stdout(io.StringIO()):
        model = theirs(recipe, reference)
        for name, own in kind.networks.items():
            network = getattr(ours, own)
            state = critic_state(network.network) if name.startswith("D") else migrate.state_of(network, layout(recipe))
            net = unwrapped(getattr(model, f"net{name}"))
            net.load_state_dict({key: _above(value, twin) for key, value in state.items()})
        judge, samples = task.judge, task.dataset()
        start = time.perf_counter()
        for step in range(1, recipe.steps + 1):
            model.update_learning_rate()  # an epoch is one step here, so that the reference's stairs are a slope like ours
            curves.rates.append(model.optimizers[0].param_groups[0]["lr"])
            x, y = samples[step - 1]
            model.set_input({"A": x[None], "B": y[None], "A_paths": [""], "B_paths": [""]})
            model.optimize_parameters()
            losses = model.get_current_losses()
            curves.losses.append({term: sum(losses[n] for n in names) / len(names) for term, names in kind.terms.items()})
            if judge.measures and (step == recipe.steps or step % recipe.validate_every == 0):
                curves.measures[step] = judge.scores(ours, taken_over(model, ours, recipe), torch.device("cpu"))
            torch.manual_seed(recipe.seed + step)
            tell()
        curves.seconds = (time.perf_counter() - start) / recipe.steps
    return curves


@contextlib.contextmanager
def importing(reference: Path) -> Iterator[None]:
    """With the reference's modules importable; afterwards nobody else finds them. Raises `ValueError` where it is not there."""
    if not (reference / "models" / "networks.py").is_file():
        raise ValueError(f"--reference {reference} is no checkout of the reference: it holds no models/networks.py")
    parts = ("models", "options", "util", "data")
    sys.path.insert(0, str(reference.resolve()))
    try:
        # So that both pools draw alike: torch's generator is seeded before each step
        importlib.import_module("util.image_pool").random = _Chance  # type: ignore[attr-defined]
        yield
    except ModuleNotFoundError as error:
        raise ValueError(f"the reference needs a package that is not installed: {error.name}") from error
    finally:
        sys.path.remove(str(reference.resolve()))
        for name in [name for name in sys.modules if name.partition(".")[0] in parts]:
            del sys.modules[name]


class _Chance:
    """In place of the module `random`."""

    @staticmethod
    def uniform(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand(()))

    @staticmethod
    def randint(low: int, high: int) -> int:
        return low + int(torch.randint(high - low + 1, ()))


def theirs(recipe: Recipe, reference: Path) -> Any:
    """The reference's model in its own default settings, but for the size."""
    kind, options = KINDS[recipe.name], importlib.import_module("options.train_options").TrainOptions()
    models = importlib.import_module("models")
    parser = options.initialize(ArgumentParser())
    parser = models.get_option_setter(kind.model)(parser, True)
    width, halves = recipe.generator.arguments["width"], recipe.steps // 2
    with tempfile.TemporaryDirectory() as unused:
        told = {"dataroot": "", "model": kind.model, "netG": layout(recipe).arch, "ngf": width, "ndf": width}
        told |= {"checkpoints_dir": unused, "n_epochs": halves, "n_epochs_decay": recipe.steps - halves}
        if "pool" in recipe.model.arguments:
            told["pool_size"] = recipe.model.arguments["pool"]
        opt = parser.parse_args(["--no_dropout", *(word for key, value in told.items() for word in (f"--{key}", str(value)))])
        opt.isTrain, opt.gpu_ids, opt.device = True, [], torch.device("cpu")
        model = models.create_model(opt)
        model.setup(opt)
    return model


def critic_state(critic: nn.Module) -> dict[str, Tensor]:
    """Of a PatchGAN: its layers stand at the same places; before InstanceNorm the reference has biases without effect."""
    state = {key.replace("body.", "model."): value.clone() for key, value in critic.state_dict().items()}
    weights = {key: value for key, value in state.items() if value.dim() == 4}
    if not any("running_mean" in key for key in state):
        state = {key.replace("weight", "bias"): torch.zeros(len(value)) for key, value in weights.items()} | state
    return state


def taken_over(model: Any, ours: Any, recipe: Recipe) -> nn.Module:
    """The reference's generators in our networks, as they are measured."""
    for name, own in KINDS[recipe.name].networks.items():
        if name.startswith("G"):
            migrate.load(getattr(ours, own), layout(recipe), unwrapped(getattr(model, f"net{name}")).state_dict())
    return EMA(ours.translator, 0).network


def unwrapped(net: Any) -> nn.Module:
    return getattr(net, "module", net)


def _above(value: Tensor, times: int) -> Tensor:
    for _ in range(times if value.is_floating_point() else 0):
        value = value.nextafter(torch.full_like(value, torch.inf))
    return value
