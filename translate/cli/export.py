"""translate-export: from a training run to one self-describing .onnx file."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from translate.cli.converted import Finish, converted
from translate.cli.needs import train_extra

if TYPE_CHECKING:
    from torch import nn

    from translate.runtime.card import Card
    from translate.training.recipe import Recipe

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


TRAINED = "Weights of the reference PyTorch implementation"
SMALLER = "Smaller and quicker"


@app.command()
def export(
    run: Annotated[Path | None, typer.Argument(help="A run folder of translate-train; with --precision also an .onnx")] = None,
    out: Annotated[
        Path | None, typer.Option(help="File to write; RUN/<name>.onnx unless told otherwise, or <name>-int8.onnx, …")
    ] = None,
    precision: Annotated[
        Literal["float32", "fp16", "int8"], typer.Option(help="fp16 for GPUs, int8 for processors", rich_help_panel=SMALLER)
    ] = "float32",
    calibrate: Annotated[
        Path | None,
        typer.Option(
            help="Pictures as it will be given: most to calibrate int8 on, the others to measure", rich_help_panel=SMALLER
        ),
    ] = None,
    least_psnr: Annotated[
        float | None,
        typer.Option(help="dB from the float32 file; below, nothing is written [default: 35]", rich_help_panel=SMALLER),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            "--from-pytorch-cyclegan",
            help="A generator of the reference PyTorch implementation, such as latest_net_G.pth",
            rich_help_panel=TRAINED,
        ),
    ] = None,
    arch: Annotated[str | None, typer.Option(help="resnet_9blocks, …, as it was trained", rich_help_panel=TRAINED)] = None,
    norm: Annotated[str | None, typer.Option(help="instance, batch or none, as it was trained", rich_help_panel=TRAINED)] = None,
    no_dropout: Annotated[
        bool, typer.Option("--no-dropout", help="Trained without dropout, or used without", rich_help_panel=TRAINED)
    ] = False,
    evaluate: Annotated[
        bool, typer.Option("--eval", help="With BatchNorm's running statistics, as its test.py --eval", rich_help_panel=TRAINED)
    ] = False,
    size: Annotated[
        int | None, typer.Option(min=1, help="Side of the training pictures; 128 or 256, by --arch", rich_help_panel=TRAINED)
    ] = None,
    task: Annotated[str | None, typer.Option(help="In a word: facades", rich_help_panel=TRAINED)] = None,
    source: Annotated[str | None, typer.Option(help="What goes in: label maps", rich_help_panel=TRAINED)] = None,
    target: Annotated[str | None, typer.Option(help="What comes out: photographs", rich_help_panel=TRAINED)] = None,
    licence: Annotated[str | None, typer.Option(help="Of the weights: their data's", rich_help_panel=TRAINED)] = None,
) -> None:
    """Export the best checkpoint of a run, with its card, and the card for people beside it.

    The file's name is the translator's: the one exported below is found, and named by its card, as `sepia`.

    translate-export runs/restore --out weights/sepia.onnx

    translate-export --from-pytorch-cyclegan latest_net_G.pth --source horses --target zebras --out horse-to-zebra.onnx

    translate-export sepia.onnx --precision int8 --calibrate photographs/
    """
    with train_extra():
        from translate.export import ExportError
        from translate.precision import NotAlike

    console = Console(stderr=True)
    words = {"task": task, "source": source, "target": target, "licence": licence}
    about = {name: word for name, word in words.items() if word is not None}
    foreign = bool(about or arch or norm or size or no_dropout or evaluate)

    def exported(out: Path | None, finish: Finish) -> list[Path]:
        if weights is None:
            if run is None or foreign:
                raise ValueError("give a run folder alone, or --from-pytorch-cyclegan FILE and what belongs to it (see --help)")
            if run.is_file() and precision != "float32":
                return [finish(run)]
            return export_run(run, out, finish)
        if run is not None:
            raise ValueError(f"{run} and --from-pytorch-cyclegan {weights}: give one of them")
        told, path = export_weights(weights, out, about, arch, norm, not no_dropout, evaluate, size)
        console.print(told, highlight=False, markup=False, soft_wrap=True)
        return [finish(path)]

    try:
        if precision != "float32":
            written = converted(exported, _target(run, out, precision), precision, calibrate, least_psnr)
        elif calibrate is not None or least_psnr is not None:
            raise ValueError("--calibrate and --least-psnr belong to --precision fp16 or int8")
        else:
            written = exported(out, lambda path: path)
    except (ValueError, OSError, ExportError, NotAlike) as error:
        console.print(f"error: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    for path in written:
        console.print(f"wrote {path} and {path.with_suffix('.md')}", highlight=False)


def export_run(run: Path, out: Path | None = None, finish: Finish = lambda path: path) -> list[Path]:
    """Exports the best checkpoint of a run folder, with its measures in the card. `out` names the translator where it is given.
    What `finish` makes of a file takes its place.

    A system of two translators becomes two files. The second is named by the recipe's `back`; where that is empty or `out` is
    given, as the first and `-back`. The measures are those of the test split, where the data has one with known targets, else
    those of validation, as the card says.

    Raises `ValueError` where the folder holds nothing to export and `ExportError` where the gate refuses.
    """
    from translate.evaluation.tested import measure_test_split
    from translate.runtime.card import Card
    from translate.training.checkpoint import load_generator, read_json
    from translate.training.environment import commit

    recipe = _recipe(run)
    _check_name(out)
    if recipe.about is None:
        raise ValueError(f"{run} holds a generative system: it translates nothing, so there is no translator to export")
    trained = recipe.build().translator
    load_generator(trained, run)
    best = run / "best.json"
    scores = read_json(best)["scores"] if best.is_file() else {}
    about = recipe.about.model_dump()
    networks = dict(trained.named_children()) if hasattr(trained, "back") else {"there": trained}
    path, written = out or run / f"{recipe.name}.onnx", []
    for way, network in networks.items():
        if way == "back":
            path = path.with_stem(recipe.back if recipe.back and out is None else f"{path.stem}-back")
            about |= {"source": about["target"], "target": about["source"]}
        measured = {key: value for key, value in scores.items() if len(networks) == 1 or key.partition("/")[0] in (way, "cycle")}
        card = Card(
            name=path.stem,
            **about,
            **_form(network),
            size=recipe.data.size,
            metrics={name.removeprefix(f"{way}/").removeprefix("val/"): round(value, 4) for name, value in measured.items()},
            test_set=_validation(recipe) if measured else "",
            recipe=recipe.model_dump(mode="json", exclude={"about", "start"}),
            seed=recipe.seed,
            commit=commit(),
        )
        written.append(finish(_write(network, card, path)))
        measure_test_split(written[-1], recipe, _data(run), back=way == "back")
    return written


def _recipe(run: Path) -> "Recipe":
    from translate.training.recipe import Recipe

    if not (run / "recipe.toml").is_file():
        raise ValueError(f"{run} is no run folder: it holds no recipe.toml")
    return Recipe.load(run / "recipe.toml")


def _validation(recipe: "Recipe") -> str:
    """What the measures of a run were taken on."""
    size = recipe.data.size
    how = f"resized to {size}×{size} (shorter side scaled, middle cut)"
    if recipe.data.kind == "paired":
        how = "in their own size, of large ones the middle"
    return f"pictures that training held out for validation{' and chose the checkpoint by' if recipe.select else ''}, {how}"


def _data(run: Path) -> Path | None:
    """Where the run's pictures were."""
    from translate.training.checkpoint import read_json

    told = run / "data.json"
    data = read_json(told)["data"] if told.is_file() else None
    return None if data is None else Path(data)


def export_weights(
    weights: Path,
    out: Path | None,
    about: dict[str, str],
    arch: str | None = None,
    norm: str | None = None,
    dropout: bool = True,
    evaluate: bool = False,
    size: int | None = None,
) -> tuple[str, Path]:
    """Exports a generator that the reference PyTorch implementation trained. Returns what was recognised, and the file.

    Raises `ValueError` for weights that are no such generator's and `ExportError` where the gate refuses.
    """
    from translate import migrate
    from translate.runtime.card import Card

    if out is None:
        raise ValueError("--out NAME.onnx is missing: it names the translator")
    _check_name(out)
    state = migrate.read(weights)
    try:
        layout = migrate.recognise(state, arch, norm)
        network = migrate.generator(state, layout, dropout, evaluate)
    except ValueError as error:
        raise ValueError(f"{weights}: {error}") from error
    form = _form(network)
    way = "folded, with its running statistics" if evaluate else "with the picture's own statistics"
    told = f"{weights}: {layout.arch}, {layout.norm} norm" + (f" {way}" if layout.norm == "batch" else "")
    told += "; its dropout is the file's noise (--no-dropout leaves it out)" if form["noise"] else "; without dropout"
    card = Card(
        name=out.stem,
        **{"task": "translation", "source": "pictures of one kind", "target": "pictures of another"} | about,
        **form,
        size=size or (128 if layout.arch in ("resnet_6blocks", "unet_128") else 256),
        recipe={
            "trained by": "the reference PyTorch implementation of CycleGAN and pix2pix",
            "weights": weights.name,
            "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
            "arch": layout.arch,
            "norm": layout.norm,
            "dropout": bool(form["noise"]),
            "eval": evaluate,
        },
    )
    return told, _write(network, card, out)


def _check_name(out: Path | None) -> None:
    from translate.runtime.card import NAME

    if out is not None and (out.suffix != ".onnx" or not NAME.fullmatch(out.stem)):
        raise ValueError(
            f"--out {out}: a translator is named by its file: up to 64 lower-case letters, digits, '.', '_' and '-' "
            "(the first a letter or digit), and then .onnx"
        )


def _target(run: Path | None, out: Path | None, precision: str) -> Path | None:
    """Where a converted file goes. None: it cannot be said."""
    _check_name(out)
    if out is not None or run is None:
        return out
    if run.is_file():
        return run.with_stem(f"{run.stem}-{precision}")
    return run / f"{_recipe(run).name}-{precision}.onnx"


def _form(network: "nn.Module") -> dict[str, Any]:
    """What a card says of the network itself."""
    from translate.export import tiling
    from translate.runtime.card import Noise

    way, noise = tiling(network), getattr(network, "noise", None)
    return {
        "reach": 0 if way == "whole" else getattr(network, "reach", 0),
        "stride": getattr(network, "stride", 1),
        "tiling": way,
        "noise": None if noise is None else Noise(**noise),
    }


def _write(network: "nn.Module", card: "Card", path: Path) -> Path:
    from translate.export import export as write
    from translate.modelcard import markdown
    from translate.training.checkpoint import write_atomically

    write(network, card, path)
    write_atomically(path.with_suffix(".md"), markdown(card))
    return path
