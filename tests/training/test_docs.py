"""docs/training.md names every key of a recipe, with its true default, and no other."""

import inspect
import json
import re
from pathlib import Path

import pytest

from translate.gan.constraints import CONSTRAINTS
from translate.gan.networks import NETWORKS
from translate.gan.objectives import OBJECTIVES
from translate.gan.stabilisers import STABILISERS
from translate.models import MODELS
from translate.training.recipe import About, Data, Optimiser, Recipe, Section

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "training.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    return TEXT.split(f"### {heading}", 1)[1].split("\n### ", 1)[0]


@pytest.mark.parametrize(
    ("heading", "settings"), [("Recipe", Recipe), ("[about]", About), ("[data]", Data), ("[optimisers.generator]", Optimiser)]
)
def test_every_key_is_told_with_its_default(heading: str, settings: type[Section]) -> None:
    told = dict(re.findall(r"^\| `(\w+)` \| `?([^|`]+)`? \|", section(heading), re.MULTILINE))
    fields = {
        name: "required" if field.is_required() else json.dumps(field.default)
        for name, field in settings.model_fields.items()
        if name not in ("about", "data", "model", "generator", "encoder", "critic", "optimisers")  # sections of their own
        or settings is About
    }
    assert told == fields


def test_every_part_is_told_with_its_arguments() -> None:
    rows = dict(re.findall(r"^\| `\[[\w.]+\]` \| (`.*?`) \| (.*) \|$", section("Parts"), re.MULTILINE))
    told = {name: arguments for names, arguments in rows.items() for name in re.findall(r"`([\w-]+)`", names)}
    known = MODELS | NETWORKS | OBJECTIVES | CONSTRAINTS | STABILISERS
    assert told.keys() == known.keys()
    for name, part in known.items():
        defaults = {
            key: list(value.default) if isinstance(value.default, tuple) else value.default
            for key, value in inspect.signature(part).parameters.items()
            if value.default is not inspect.Parameter.empty
        }
        assert {key: json.loads(value) for key, value in re.findall(r"`(\w+) = ([^`]+)`", told[name])} == defaults
