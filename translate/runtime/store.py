"""Store: finds translators by name or by path."""

import difflib
import hashlib
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from translate.runtime.card import NAME, Card
from translate.runtime.errors import InvalidModel, ModelNotFound
from translate.runtime.model import Model, read_card

_PACKAGE = Path(__file__).resolve().parent.parent
_SHIPPED = (_PACKAGE / "_weights", _PACKAGE.parent / "weights")
"""In a wheel, and in a source checkout."""
_SUMS = "SHA256SUMS"

State = tuple[tuple[int, int, int] | None, ...]
"""What changes when a file is written anew or another takes its place."""


class Store:
    """The folders in which translators are found; where two hold the same name, the first folder's counts.

    `folders` defaults to those of `$TRANSLATE_WEIGHTS` (separated as in `$PATH`), else to the weights shipped with the project.
    """

    def __init__(self, folders: Iterable[str | Path] | None = None) -> None:
        told = os.environ.get("TRANSLATE_WEIGHTS")
        if folders is None:
            folders = told.split(os.pathsep) if told else _SHIPPED
        self.folders = [Path(folder) for folder in folders if str(folder)]

    def names(self) -> list[str]:
        """Names of all translators, sorted."""
        return sorted(self._files())

    def find(self, name: str) -> Path:
        """The file of the translator of that name. Never anything but a file in the store's folders, whatever `name` holds.

        Raises `ModelNotFound`, which lists the known names, nearest first.
        """
        # A server asks at each picture, so nothing is listed where the name is known
        for folder in self.folders if NAME.fullmatch(name) else []:
            with suppress(PermissionError):  # a folder that may not be entered holds nothing
                if (path := folder / f"{name}.onnx").is_file():
                    return path
        raise ModelNotFound(f"no model {name!r}; {self._known(name, self._files())}")

    def path(self, name_or_path: str | Path) -> Path:
        """The file of a translator, by name or by path. A string is a path if it has a separator or ends in `.onnx`.

        For the project's own users; names from a network go to `find`. Raises `ModelNotFound`.
        """
        path = Path(name_or_path)
        if isinstance(name_or_path, str) and path.name == name_or_path and path.suffix != ".onnx":
            return self.find(name_or_path)
        if not path.is_file():
            raise ModelNotFound(f"no model file at {path}; {self._known(path.stem, self._files())}")
        return path

    def card(self, name_or_path: str | Path) -> Card:
        """The translator's card. Raises `ModelNotFound` or `InvalidModel`."""
        path = self.path(name_or_path)
        state = path.stat()
        return _card(path, state.st_mtime_ns, state.st_size)

    def load(self, name_or_path: str | Path, *, device: str = "cpu", threads: int | None = None) -> Model:
        """Loads the translator, if it is what a `SHA256SUMS` beside it says; see `Model.open` and `digest`."""
        path = self.path(name_or_path)
        digest(path)
        return Model.open(path, device=device, threads=threads)

    def misnamed(self) -> list[Path]:
        """Files that are no translators of any name, because theirs has letters or signs that no name has."""
        return [path for path in self._found() if not NAME.fullmatch(path.stem)]

    def _files(self) -> dict[str, Path]:
        return {path.stem: path for path in reversed(self._found()) if NAME.fullmatch(path.stem) and path.is_file()}

    def _found(self) -> list[Path]:
        return [path for folder in self.folders if folder.is_dir() for path in sorted(folder.glob("*.onnx"))]

    def _known(self, name: str, files: dict[str, Path]) -> str:
        if not files:
            folders = ", ".join(map(str, self.folders))
            return (
                f"there is none in {folders}: train one with translate-train, or set TRANSLATE_WEIGHTS to a folder of .onnx files"
            )
        nearest = sorted(files, key=lambda known: difflib.SequenceMatcher(None, name, known).ratio(), reverse=True)
        return f"known: {', '.join(nearest)}"


def sha256(path: Path) -> str:
    """In hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(path: Path) -> str:
    """The SHA-256 of a translator's file, in hexadecimal digits.

    Raises `InvalidModel` where the `SHA256SUMS` beside it tells another, or the file cannot be read.
    """
    try:
        found = sha256(path)
        sums = path.with_name(_SUMS)
        lines = sums.read_text(encoding="utf-8").splitlines() if sums.is_file() else []
    except (OSError, UnicodeError) as error:
        raise InvalidModel(f"{path} cannot be read: {error}") from error
    told = {match[2]: match[1].lower() for line in lines if (match := re.fullmatch(r"([0-9a-fA-F]{64}) [ *](.+)", line))}
    if told.get(path.name, found) != found:
        raise InvalidModel(
            f"{path} is not the file that {_SUMS} beside it names: copy it again or, if it was changed on purpose, its sum there"
        )
    return found


def state(path: Path) -> State:
    """Of a translator's file and of the sums beside it, without reading either."""
    return _stamp(path), _stamp(path.with_name(_SUMS))


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


@lru_cache(maxsize=256)
def _card(path: Path, _modified: int, _size: int) -> Card:
    return read_card(path)
