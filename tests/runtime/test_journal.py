"""The journal: whatever cuts it short, what it holds is whole."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translate.runtime.journal import Journal, Record, read_journal


@given(st.integers(0, 10_000))
def test_a_journal_cut_anywhere_is_read_up_to_its_last_whole_line(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.jsonl"
    path.unlink(missing_ok=True)
    with Journal(path, None, {"settings": {}}) as journal:
        for name in ("é", "b"):
            journal.start(name)
            journal.finish(Record(name, "done", read=(1, 2), wrote=[(3, 4)]))
    whole = path.read_bytes()
    cut = cut % (len(whole) + 1)
    path.write_bytes(whole[:cut])
    past = read_journal(path)
    lines = whole[:cut].count(b"\n")
    assert (past is None) == (lines == 0)
    if past:
        assert len(past.started) == (lines in (2, 4))
        assert len(past.records) == (lines - 1) // 2
        with Journal(path, past, {}) as journal:
            journal.start("c")
        assert path.read_bytes() == whole[: past.length] + b'{"started": "c"}\n'


def test_a_full_disk_leaves_no_half_line_in_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, None, {}) as journal:
        before = path.read_bytes()
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
            with pytest.raises(OSError, match="full"):
                journal.start("a")
        assert path.read_bytes() == before
        journal.start("b")
        assert path.read_bytes() == before + b'{"started": "b"}\n'
