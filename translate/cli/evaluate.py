"""translate-eval: the numbers of an exported translator, on pictures that it was not trained on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from translate.cli.needs import train_extra
from translate.runtime.card import NAME
from translate.runtime.errors import TranslateError

if TYPE_CHECKING:
    from translate.evaluation.measure import Report

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

ENOUGH = 10_000
"""Pictures from which on the bias of FID is small."""


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="Name or .onnx file of a translator")],
    data: Annotated[Path, typer.Argument(help="A folder in any layout that is trained from, or of sources")],
    reference: Annotated[Path | None, typer.Option(help="Real pictures of the target; DATA holds the sources")] = None,
    sources: Annotated[bool, typer.Option("--sources", help="DATA holds sources alone, perhaps a folder for each class")] = False,
    split: Annotated[str, typer.Option(help="train, val or test. Default: test where there is one, else val, else all")] = "",
    joined: Annotated[bool, typer.Option("--joined", help="DATA holds joined pictures, whatever their shape")] = False,
    target_first: Annotated[bool, typer.Option("--target-first", help="The target is on the left, or A, or trainA")] = False,
    size: Annotated[int, typer.Option(help="Scale the shorter side, cut the middle square. 0: as they are", min=0)] = 0,
    holdout: Annotated[float, typer.Option(help="Only what training with this data.holdout left out", min=0, max=1)] = 0,
    limit: Annotated[int, typer.Option(help="Only the first so many pictures. 0: all", min=0)] = 0,
    noise: Annotated[
        int | None,
        typer.Option(help="DATA holds clean photographs: add noise of this deviation, of 255", min=0, max=255),
    ] = None,
    name: Annotated[str, typer.Option("--set", help="Name of the test set, put before the measures: NAME/psnr")] = "",
    lpips: Annotated[str, typer.Option(help="torchvision's weights of AlexNet, VGG16 or SqueezeNet; or: download")] = "",
    inception: Annotated[str, typer.Option(help="Inception's weights, for FID and KID; or: download")] = "",
    features: Annotated[Path | None, typer.Option(help=".onnx file in whose first output FID and KID are taken")] = None,
    palette: Annotated[str, typer.Option(help="Targets are label maps: facades, or a file of 'red green blue name'")] = "",
    classifier: Annotated[Path | None, typer.Option(help=".onnx classifier that should read the translations rightly")] = None,
    labels: Annotated[Path | None, typer.Option(help="Classes of the sources: lines of 'name,class'. Default: folders")] = None,
    seed: Annotated[int, typer.Option(help="Of models with noise", min=0, max=2**64 - 1)] = 0,
    samples: Annotated[int, typer.Option(help="Seeds, from --seed on, between which diversity is measured", min=1)] = 1,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:<index>, openvino or openvino-bf16")] = "cpu",
    json: Annotated[Path | None, typer.Option(help="Write the report there as well")] = None,
    write_card: Annotated[bool, typer.Option("--write-card", help="Put the measures into the model's card")] = False,
) -> None:
    """Measure a translator: PSNR, SSIM, LPIPS, FID, KID, label maps, a classifier's accuracy, diversity between seeds.

    translate-eval runs/mine/mine.onnx pairs/ --size 256 --write-card

    translate-eval daisy-to-sunflower daisies/ --reference sunflowers/ --size 128 --features flowers.onnx

    translate-eval facades-to-labels facades/ --palette facades --samples 4
    """
    with train_extra():
        from translate.evaluation.cases import find
        from translate.evaluation.instruments import Wanted
        from translate.evaluation.measure import evaluate as measure
        from translate.metrics.labels import named
        from translate.runtime.store import Store
        from translate.training.checkpoint import write_atomically

    console = Console(stderr=True)
    try:
        name = name or ("" if noise is None else f"noise{noise}" if noise else "clean")
        if name and not NAME.fullmatch(name):
            raise ValueError(f"--set {name}: lower-case letters, digits, '.', '_' and '-' name a test set")
        if json is not None and not json.resolve().parent.is_dir():
            raise ValueError(f"--json {json}: there is no folder {json.parent}")
        store = Store()
        path = store.path(model)
        wanted = Wanted(lpips, inception, features, named(palette) if palette else None, classifier, samples)
        cases = find(
            data,
            reference=reference,
            split=split,
            alone=sources,
            joined=joined,
            target_first=target_first,
            holdout=holdout,
            limit=limit,
            noise=noise,
            size=size,
            scale=store.card(path).scale,
            maps=bool(palette),
        )
        if classifier or labels:
            cases = cases.with_classes(labels)
        console.print(str(cases), highlight=False, markup=False, soft_wrap=True)
        report = measure(
            path,
            cases,
            wanted,
            name=name,
            seed=seed,
            device=device,
            follow=lambda found: track(found, "measuring", len(cases), console=console, disable=not console.is_terminal),
        )
        _show(report)
        if json is not None:
            write_atomically(json, report.json())
        if write_card:
            from translate.evaluation.card import write_card as into_card

            into_card(path, report.metrics, report.test_set, name)
            console.print(f"wrote the card in {path} and {path.with_suffix('.md')}", highlight=False, markup=False)
    except (TranslateError, ValueError, OSError) as error:
        console.print(f"error: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(1) from None


def _show(report: "Report") -> None:
    console = Console()
    table = Table("measure", "value", "95 % over pictures", title=f"{report.model}, {report.sha256[:12]}")
    for key, value in report.metrics.items():
        low_high = report.intervals.get(key)
        table.add_row(key, f"{value:g}", f"{low_high[0]:.4g} to {low_high[1]:.4g}" if low_high else "")
    console.print(table)
    if report.classes:
        table = Table("class", "share", "accuracy", "IoU")
        for key, found in report.classes.items():
            table.add_row(escape(key), *(f"{found[column]:.3f}" for column in ("share", "accuracy", "iou")))
        console.print(table)
    if any(key.rpartition("/")[2].startswith("fid") for key in report.metrics) and report.count < ENOUGH:
        console.print(
            f"FID of so few pictures ({report.count}) is too high: compare it with that of as many others.", highlight=False
        )
    for key, need in report.missing.items():
        console.print(f"not measured: {key} ({need})", highlight=False, markup=False, soft_wrap=True)
