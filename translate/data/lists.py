"""Lists of pairs: text with two paths a line, and the split where there is a third cell."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

SUFFIXES = (".csv", ".tsv", ".txt")


class Line(NamedTuple):
    split: str
    source: Path
    target: Path
    name: str
    """The source as it is listed, without its suffix."""


def read(path: Path, splits: Mapping[str, Sequence[str]]) -> Iterator[Line]:
    """The lines of a list in UTF-8, with commas or tabs; `splits` are the words for each, the first of which is the default.

    Paths are relative to the list's folder. A heading, empty lines and those that begin with # are passed over. Raises
    `ValueError`, naming the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no list of pairs: text in UTF-8 is wanted, two paths a line ({error})") from error
    rows = csv.reader(text.splitlines(), delimiter="\t" if "\t" in text else ",", skipinitialspace=True)
    for number, cells in enumerate(rows, 1):
        row = [cell.strip() for cell in cells]
        if not any(row) or row[0].startswith("#") or (number == 1 and not any(Path(cell).suffix for cell in row)):
            continue
        where = f"{path}, line {number}"
        if len(row) not in (2, 3):
            raise ValueError(f"{where}: {len(row)} cells: write source, target and perhaps {', '.join(splits)}")
        word = row[2] if row[2:] and row[2] else next(iter(splits))
        split = next((name for name, words in splits.items() if word in words), None)
        if split is None:
            raise ValueError(f"{where}: {word!r} is no split: write {', '.join(splits)}")
        line = Line(split, path.parent / row[0], path.parent / row[1], Path(row[0]).with_suffix("").as_posix())
        if missing := next((file for file in (line.source, line.target) if not file.is_file()), None):
            raise ValueError(f"{where}: {missing} is not there; paths are relative to the list's folder")
        yield line
