"""translate-train: from a recipe and a folder of pictures to an exported translator."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from translate.cli.needs import train_extra
from translate.cli.progress import Training, counting

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    recipe: Annotated[str | None, typer.Argument(help="A TOML recipe, or the name of one that is shipped: restore.toml")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of pictures, where the recipe learns from some")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder to create")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value over the recipe, such as data.size=256")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with this run folder; nothing else need be given")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would cost, after some steps, and write nothing")
    ] = False,
) -> None:
    """Train a translator and export it; or a generative system, of which previews/ shows what it draws.

    RUN/report.html shows how it goes.

    translate-train restore.toml --data photographs --out runs/restore --set steps=5000

    translate-train --resume runs/restore

    translate-train wgan-gp-ring.toml --out runs/ring

    translate-train cyclegan.toml --data DIR --set data.size=128 --dry-run
    """
    with train_extra():  # torch takes seconds: --help must not
        from translate.cli.export import export_run
        from translate.export import ExportError
        from translate.training.audited import look
        from translate.training.environment import command, several
        from translate.training.pages import hand_back_pages, keep_pages
        from translate.training.processes import is_first, let_first_speak
        from translate.training.run import create, resume_run, train

    console = Console(stderr=True, quiet=not is_first(), highlight=False, markup=False, soft_wrap=True)
    try:
        if resume is not None:
            if recipe or data or out or settings or dry_run:
                raise ValueError(
                    "--resume takes everything from the run folder: give no recipe, --data, --out, --set or --dry-run beside it"
                )
            run = resume_run(resume)
        elif recipe is not None and dry_run:
            _costs(recipe, data, settings or [], console)
            raise typer.Exit()
        elif recipe is None or out is None:
            raise ValueError("give a recipe, --data DIR and --out RUN, or --resume RUN")
        else:
            run = create(recipe, data, out, settings or [])
        console.print(f"{run.recipe.name}: {run.task}")
        if run.recipe.shard and several():
            hand_back_pages()
        else:
            keep_pages()
        if resume is None and data is not None and run.recipe.about and is_first():
            with counting(console, "looking at the pictures") as tell:
                findings = look(run, data, tell)
            for line in findings:
                console.print(line)
        with Training(console, run.recipe.steps, run.recipe.samples) as shown:
            best = train(run, shown.step)
        # A generative system translates nothing, so there is nothing to export
        results = export_run(run.folder) if run.recipe.about and is_first() else [best]
    except KeyboardInterrupt:
        console.print(f"stopped; go on with: {command()} --resume {resume or out}")
        raise typer.Exit(130) from None
    except (ValueError, OSError, FloatingPointError, ExportError) as error:
        let_first_speak()
        console.quiet = False
        console.print(f"error: {error}", style="red")
        raise typer.Exit(1) from None
    except Exception:  # of a connection to a process that is no more, say
        let_first_speak()
        raise
    for result in results:
        console.print(f"wrote {result}")


def _costs(name: str, data: Path | None, settings: list[str], console: Console) -> None:
    """The resolved recipe as TOML, and in comments what it costs."""
    from translate.training import tasks
    from translate.training.environment import several
    from translate.training.pages import keep_pages
    from translate.training.recipe import Recipe
    from translate.training.sections import TRANSLATED
    from translate.training.summary import summary

    if several():
        raise ValueError("--dry-run measures one process: start it without torchrun")
    recipe = Recipe.load(name, settings)
    task = None if data is None and recipe.data.kind in (*TRANSLATED, "mnist") else tasks.find(recipe, data)
    if task is not None:
        task.check(recipe.build())
        console.print(f"{recipe.name}: {task}")
    keep_pages()
    with console.status("training some steps"):
        lines = summary(recipe, task)
    typer.echo(recipe.to_toml())
    for line in lines:
        typer.echo(f"# {line}")


if __name__ == "__main__":  # torchrun -m translate.cli.train
    app()
