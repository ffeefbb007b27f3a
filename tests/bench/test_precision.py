"""bench.precision prints one line for each engine and precision."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from bench.precision import main
from tests.conftest import MakeModel


def test_a_line_for_each_way(make_model: MakeModel, photographs: Path) -> None:
    app = typer.Typer()
    app.command()(main)
    path = make_model("blur", depth=3)
    result = CliRunner().invoke(app, ["--data", str(photographs), "--model", str(path), "--rounds", "1", "--threads", "1"])
    assert result.exit_code == 0, result.output
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in result.output.splitlines() if line.startswith("| blur")]
    assert [row[1:3] for row in rows][:2] == [["ONNX Runtime", "float32"], ["ONNX Runtime", "int8"]]
    assert rows[0][3] == ""
    assert all(float(row[3]) > 30 for row in rows[1:])
    assert float(rows[0][5]) == pytest.approx(1)
