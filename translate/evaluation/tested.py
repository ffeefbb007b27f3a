"""What a finished run is worth: its exported file on the test split, which neither trained it nor chose its checkpoint."""

from pathlib import Path

from translate.data.layouts import recognise
from translate.evaluation.card import write_card
from translate.evaluation.cases import find
from translate.evaluation.instruments import Wanted
from translate.evaluation.measure import Report, evaluate
from translate.runtime.errors import TranslateError
from translate.training.recipe import Recipe


def measure_test_split(path: Path, recipe: Recipe, data: Path | None, back: bool = False) -> Report | None:
    """Measures the translator at `path` on the test split in `data`, in the training size, and puts that into its card.

    None, and the card is left as it is, where the layout has no test split with known targets. `back`: it translates the other
    way. Raises `ValueError` where the split is there and cannot be measured.
    """
    told = recipe.data
    if data is None or not data.exists() or told.kind not in ("aligned", "unpaired"):
        return None
    if not recognise(data, told.source, told.target, told.joined, told.target_first).test:
        return None
    try:
        cases = find(
            data,
            split="test",
            folders=(told.source, told.target),
            joined=told.joined,
            target_first=told.target_first != back,
            size=told.size,
        )
        if not cases.targets:
            return None
        report = evaluate(path, cases, Wanted())
        write_card(path, report.metrics, report.test_set)
    except (TranslateError, ValueError, OSError) as error:
        raise ValueError(f"{path} is exported, but the test split of {data} cannot be measured: {error}") from error
    return report
