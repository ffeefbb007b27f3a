"""translate-train: from a recipe and a folder of pictures to an exported translator."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from translate.cli.needs import train_extra

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    recipe: Annotated[str | None, typer.Argument(help="A TOML recipe, or the name of one that is shipped: restore.toml")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of pictures, where the recipe learns from some")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder to create")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value over the recipe, such as data.size=256")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with this run folder; nothing else need be given")] = None,
) -> None:
    """Train a translator and export it; or a generative system, of which previews/ shows what it draws.

    translate-train restore.toml --data photographs --out runs/restore --set steps=5000

    translate-train --resume runs/restore

    translate-train wgan-gp-ring.toml --out runs/ring
    """
    with train_extra():  # torch takes seconds: --help must not
        from translate.cli.export import export_run
        from translate.export import ExportError
        from translate.training.run import create, resume_run, train

    console = Console(stderr=True)
    try:
        if resume is not None:
            if recipe or data or out or settings:
                raise ValueError(
                    "--resume takes everything from the run folder: give no recipe, --data, --out or --set beside it"
                )
            run = resume_run(resume)
        elif recipe is None or out is None:
            raise ValueError("give a recipe, --data DIR and --out RUN, or --resume RUN")
        else:
            run = create(recipe, data, out, settings or [])
        console.print(f"{run.recipe.name}: {run.task}", highlight=False, markup=False, soft_wrap=True)
        progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:.1f} pictures/s"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[losses]}"),
            console=console,
            disable=not console.is_terminal,
        )
        with progress:
            task = progress.add_task("training", total=run.recipe.steps, rate=0.0, losses="")
            began: list[tuple[float, int]] = []

            def report(step: int, losses: dict[str, float]) -> None:
                if not began:  # neither the start nor the steps before a resume count for the time left
                    progress.reset(task, completed=step)
                began.append((time.monotonic(), step))
                del began[:-100]
                (t0, s0), (t1, s1) = began[0], began[-1]
                rate = run.recipe.batch * (s1 - s0) / (t1 - t0) if t1 > t0 else 0.0
                text = " ".join(f"{name.split('/')[-1]} {value:.4f}" for name, value in losses.items())
                progress.update(task, completed=step, rate=rate, losses=text)
                if not console.is_terminal and step % run.recipe.log_every == 0:
                    console.print(f"step {step}/{run.recipe.steps}  {rate:.1f} pictures/s  {text}", highlight=False)

            best = train(run, report)
        # A generative system translates nothing, so there is nothing to export
        results = export_run(run.folder) if run.recipe.about else [best]
    except KeyboardInterrupt:
        console.print(f"stopped; go on with: translate-train --resume {resume or out}", highlight=False)
        raise typer.Exit(130) from None
    except (ValueError, OSError, FloatingPointError, ExportError) as error:
        console.print(f"error: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    for result in results:
        console.print(f"wrote {result}", highlight=False)
