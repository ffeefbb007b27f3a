"""translate-export: from a training run to one self-describing .onnx file."""

import json
import subprocess
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from translate.cli.needs import train_extra

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="A run folder of translate-train")],
    out: Annotated[Path | None, typer.Option(help="File to write; RUN/<name>.onnx unless told otherwise")] = None,
) -> None:
    """Export the best checkpoint of a run, with its card, and the card for people beside it.

    The file's name is the translator's: the one exported below is found, and named by its card, as `sepia`.

    translate-export runs/restore --out weights/sepia.onnx
    """
    with train_extra():
        from translate.export import ExportError

    console = Console(stderr=True)
    try:
        written = export_run(run, out)
    except (ValueError, OSError, ExportError) as error:
        console.print(f"error: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    for path in written:
        console.print(f"wrote {path} and {path.with_suffix('.md')}", highlight=False)


def export_run(run: Path, out: Path | None = None) -> list[Path]:
    """Exports the best checkpoint of a run folder, with its measures in the card. `out` names the translator where it is given.

    A system of two translators becomes two files, of which the second has the name of the first and `-back`.

    Raises `ValueError` where the folder holds nothing to export and `ExportError` where the gate refuses.
    """
    from translate.export import export as write
    from translate.modelcard import markdown
    from translate.runtime.card import NAME, Card, Noise
    from translate.training.checkpoint import load_generator, write_atomically
    from translate.training.recipe import Recipe

    if not (run / "recipe.toml").is_file():
        raise ValueError(f"{run} is no run folder: it holds no recipe.toml")
    if out is not None and (out.suffix != ".onnx" or not NAME.fullmatch(out.stem)):
        raise ValueError(
            f"--out {out}: a translator is named by its file: up to 64 lower-case letters, digits, '.', '_' and '-' "
            "(the first a letter or digit), and then .onnx"
        )
    recipe = Recipe.load(run / "recipe.toml")
    if recipe.about is None:
        raise ValueError(f"{run} holds a generative system: it translates nothing, so there is no translator to export")
    trained = recipe.build().translator
    load_generator(trained, run)
    best = run / "best.json"
    scores = json.loads(best.read_text(encoding="utf-8"))["scores"] if best.is_file() else {}
    about = recipe.about.model_dump()
    networks = dict(trained.named_children()) if hasattr(trained, "back") else {"there": trained}
    path, written = out or run / f"{recipe.name}.onnx", []
    for way, network in networks.items():
        if way == "back":
            path = path.with_stem(f"{path.stem}-back")
            about |= {"source": about["target"], "target": about["source"]}
        measured = {key: value for key, value in scores.items() if len(networks) == 1 or key.partition("/")[0] in (way, "cycle")}
        reach, noise = getattr(network, "reach", None), getattr(network, "noise", None)
        card = Card(
            name=path.stem,
            **about,
            reach=reach or 0,
            stride=getattr(network, "stride", 1),
            tiling="whole" if reach is None else "exact",
            size=recipe.data.size,
            noise=None if noise is None else Noise(**noise),
            metrics={name.removeprefix(f"{way}/"): round(value, 4) for name, value in measured.items()},
            test_set="the pictures that training held out for validation" if measured else "",
            recipe=recipe.model_dump(mode="json", exclude={"about", "start"}),
            seed=recipe.seed,
            commit=_commit(),
        )
        written.append(write(network, card, path))
        write_atomically(path.with_suffix(".md"), markdown(card))
    return written


def _commit() -> str:
    """The commit that this code was checked out at, or nothing where it was installed without its history."""
    here = Path(__file__).resolve().parents[2]
    if not (here / ".git").exists():
        return ""
    asked = subprocess.run(["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return asked.stdout.strip()
