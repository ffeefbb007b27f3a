"""The loaders' benchmark measures both loaders, with and without decoding."""

import re

import pytest

from bench.loader import main


def test_both_loaders_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    main(data=None, workers=0, seconds=0.05)
    lines = capsys.readouterr().out.splitlines()
    found = {line.split(":")[0]: [int(rate) for rate in re.findall(r"\d+", line)] for line in lines[1:]}
    assert found.keys() == {"aligned", "unpaired"}
    assert all(len(rates) == 2 and min(rates) > 0 for rates in found.values())
