"""docs/training.md names every key of a recipe, with its true default, and no other; what docs/gan.md names exists."""

import inspect
import json
import re
from pathlib import Path

import pytest

from translate.gan.constraints import CONSTRAINTS
from translate.gan.divergences import F_DIVERGENCES
from translate.gan.networks import NETWORKS
from translate.gan.objectives import OBJECTIVES
from translate.gan.stabilisers import STABILISERS
from translate.models import MODELS
from translate.training.recipe import Recipe
from translate.training.sections import About, Data, Optimiser, Section

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
ZOO = (ROOT / "docs" / "gan.md").read_text(encoding="utf-8")
QUOTED = set(re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", ZOO, flags=re.DOTALL)))
KNOWN = MODELS | NETWORKS | OBJECTIVES | CONSTRAINTS | STABILISERS


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
    assert told.keys() == KNOWN.keys()
    for name, part in KNOWN.items():
        defaults = {
            key: list(value.default) if isinstance(value.default, tuple) else value.default
            for key, value in inspect.signature(part).parameters.items()
            if value.default is not inspect.Parameter.empty
        }
        assert {key: json.loads(value) for key, value in re.findall(r"`(\w+) = ([^`]+)`", told[name])} == defaults


def test_every_test_that_the_zoo_names_is_written() -> None:
    named = set(re.findall(r"\btest_\w+\b(?!\.py)", ZOO))
    written = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert len(named) > 40
    assert not named - written


def test_every_file_and_recipe_that_the_zoo_names_is_there() -> None:
    named = {name for name in QUOTED if re.fullmatch(r"[\w./-]+(\.py|\.toml|\.md|/)", name)} - {"NAME.toml"}
    folders = [ROOT, ROOT / "translate", ROOT / "translate" / "gan", ROOT / "translate" / "recipes", ROOT / "docs"]
    assert len(named) > 30
    assert not [name for name in named if not any((folder / name).exists() for folder in folders)]
    shipped = {path.stem for path in (ROOT / "translate" / "recipes").glob("*.toml")}
    assert not set(re.findall(r"([\w-]+)\.toml", ZOO)) - shipped - {"NAME"}


def test_every_class_and_part_that_the_zoo_names_exists() -> None:
    named = {name for name in QUOTED if re.fullmatch(r"[A-Z]\w+", name)}
    defined = {
        name
        for path in (ROOT / "translate").rglob("*.py")
        for name in re.findall(r"^(?:class )?([A-Z]\w+)(?=[:(\s=])", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert len(named) > 15
    assert not named - defined
    parts = {name for name in QUOTED if re.fullmatch(r"[a-z]+(-[a-z]+)+", name)}
    assert len(parts) > 20
    assert not parts - KNOWN.keys() - F_DIVERGENCES.keys()


def test_every_part_is_explained_in_the_zoo() -> None:
    told = set(re.findall(r"^\| (`.*?`) \|", ZOO, re.MULTILINE))
    names = {name for cell in told for name in re.findall(r"`([\w-]+)`", cell)}
    assert not (OBJECTIVES | CONSTRAINTS | STABILISERS).keys() - names - {"none"}
