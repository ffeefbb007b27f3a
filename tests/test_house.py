"""The promises of README, Makefile, pyproject.toml and CI agree with each other and with the files."""

import ast
import importlib
import os
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from hatchling.metadata.core import ProjectMetadata
from hatchling.plugin.manager import PluginManager
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.testing import CliRunner

import translate

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIREMENTS = [
    Requirement(line) for group in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()) for line in group
]
FOLDERS = ("translate", "server", "bench", "tests", "docs", "docker", "scripts", ".ci")
TEXT = {".py", ".md", ".toml", ".txt", ".html", ".css", ".js", ".yaml", ".Dockerfile", ""}
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]

# Spelt so that this file does not find itself.
LEFTOVERS = re.compile(r"\b(TO[D]O|FIX[M]E|XX[X]|HA[C]K)\b")
LOCAL_PATHS = re.compile(r"(?<![\w.:/}])/(work|root|home|tmp|opt)/")
INDEX = re.compile(r"--(extra-)?index-ur[l]|--find-link[s]|/simpl[e]\b")


def written_files() -> list[Path]:
    inside = [p for folder in FOLDERS for p in (ROOT / folder).rglob("*") if "__pycache__" not in p.parts]
    return [p for p in [*ROOT.iterdir(), *inside] if p.is_file() and p.suffix in TEXT]


def shell_lines(document: Path) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", document.read_text(), re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("document", [ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda path: path.name)
def test_commands_of_the_documents_exist(document: Path) -> None:
    made = [match[1] for line in shell_lines(document) if (match := re.match(r"make (\w+)", line))]
    called = re.findall(r"(?:^|/)(translate-[a-z]+)", "\n".join(shell_lines(document)), re.MULTILINE)
    assert made
    assert set(made) <= targets()
    assert set(called) <= set(PROJECT["scripts"])


def test_ci_runs_what_the_readme_says() -> None:
    run = ROOT / ".ci" / "run"
    assert os.access(run, os.X_OK)
    assert {"make check", "make test"} <= set(run.read_text().splitlines())
    assert any(line.startswith("make test") for line in shell_lines(ROOT / "README.md"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_of_the_documents_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text())
    missing = [link for link in links if not re.match(r"\w+:", link) and not (document.parent / link).exists()]
    assert not missing


def test_constraints_pin_everything_and_name_no_source() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pins = [Requirement(line) for line in lines]
    assert all(re.fullmatch(r"==[^*,]+", str(pin.specifier)) and pin.url is None for pin in pins)
    pinned = {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in pins}
    for requirement in REQUIREMENTS:
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)])


def test_every_import_is_declared() -> None:
    names = {
        module.partition(".")[0]
        for path in written_files()
        if path.suffix == ".py"
        for node in ast.walk(ast.parse(path.read_text()))
        for module in (
            [alias.name for alias in node.names] if isinstance(node, ast.Import) else [getattr(node, "module", None) or ""]
        )
    }
    distributions = packages_distributions()
    own = {"translate", "server", "bench", "tests", "blocked"}
    foreign = {name for name in names - own - set(sys.stdlib_module_names) if name}
    declared = {canonicalize_name(requirement.name) for requirement in REQUIREMENTS}
    assert not {name for name in foreign if not declared & set(map(canonicalize_name, distributions.get(name, [name])))}


@pytest.mark.parametrize("script", PROJECT["scripts"])
def test_console_scripts_answer_help(script: str) -> None:
    module, _, name = PROJECT["scripts"][script].partition(":")
    result = CliRunner().invoke(getattr(importlib.import_module(module), name), ["--help"])
    assert result.exit_code == 0, result.output
    assert "Usage" in result.output


@pytest.mark.parametrize("path", sorted((ROOT / "translate" / "recipes").glob("*.toml")), ids=lambda path: path.name)
def test_recipes_parse(path: Path) -> None:
    from translate.training.recipe import Recipe

    assert Recipe.load(path)


def test_wheel_holds_the_page_the_recipes_and_the_weights() -> None:
    held = {Path(file.distribution_path).as_posix() for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    folders = ("server/ui", "translate/recipes", "translate/training/page")
    shipped = dict(zip(folders, folders, strict=True)) | {"weights": "translate/_weights"}
    for folder, inside in shipped.items():
        assert {f"{inside}/{p.name}" for p in (ROOT / folder).iterdir() if p.is_file()} <= held
    assert "translate/py.typed" in held
    assert not [name for name in held if name.startswith(("tests/", "bench/", "docs/"))]


def test_version_is_in_the_changelog() -> None:
    assert ProjectMetadata(str(ROOT), PluginManager()).version == translate.__version__
    assert f"## [{translate.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_no_leftovers_local_paths_or_package_indexes() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in written_files()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if LEFTOVERS.search(line) or LOCAL_PATHS.search(line) or INDEX.search(line)
    ]
    assert not found


def test_files_stay_short() -> None:
    lengths = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in written_files() if path.suffix == ".py"}
    assert not {path: length for path, length in lengths.items() if length > 330}
