"""Without the libraries of training, the commands that need them say what to install."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("command", "arguments"), [("train", ["restore.toml"]), ("export", ["runs/mine"]), ("evaluate", ["restore", "pairs"])]
)
def test_a_missing_library_is_named_with_its_remedy(command: str, arguments: list[str]) -> None:
    code = (
        "import builtins, sys; real = builtins.__import__\n"
        "def without(name, *a, **k):\n"
        "    if name.partition('.')[0] in ('torch', 'onnx'): raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "    return real(name, *a, **k)\n"
        "builtins.__import__ = without\n"
        f"from translate.cli.{command} import app; app({arguments!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "image-translate[train]" in done.stderr
    assert "Traceback" not in done.stderr
