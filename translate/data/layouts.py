"""Layouts: which pictures of a folder are source and which target, which belong together, and which are kept apart.

Every kind of training, the audit and the evaluation find their pictures here. What is recognised:

    trainA trainB, and valA valB, testA testB where there are any
    A B, or two folders of any names, each of them plain or with train, val and test in it; or train/A train/B, val/A …
    joined pictures, source in the left half and target in the right: in the folder itself, or in train, val, test
    a list of pairs, pairs.csv, or train.csv, val.csv, test.csv: two paths a line, and the split where there is a third cell
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from PIL import Image

from translate.data import lists
from translate.runtime.picture import FORMATS
from translate.runtime.plan import READ_ONLY

SUFFIXES = frozenset({suffix for format in FORMATS.values() for suffix in format.suffixes} | READ_ONLY)
SPLITS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
RECOGNISED = (
    "trainA and trainB; A and B, or two folders of other names; train/A and train/B; joined pictures, twice as wide as high, "
    "in it or in train/; a list of pairs, pairs.csv"
)
PROBED = 16
"""Pictures whose shape tells whether all are joined ones."""

Item = TypeVar("Item")


class Unrecognised(ValueError):
    """A folder with none of the layouts."""


class View(NamedTuple):
    """A picture: a file, or one half of a joined one. Partners have one `name`, which also decides whether it is held out."""

    path: Path
    name: str
    half: Literal["", "left", "right"] = ""


class Pair(NamedTuple):
    """Two views of one thing, of equal size: x (source) and y (target)."""

    x: View
    y: View


@dataclass(frozen=True)
class Part:
    """One split: the pictures of the source and of the target."""

    x: Sequence[View] = ()
    y: Sequence[View] = ()

    def __bool__(self) -> bool:
        return bool(self.x or self.y)

    def __iter__(self) -> Iterator[Sequence[View]]:
        return iter((self.x, self.y))

    @property
    def lonely(self) -> list[View]:
        """Pictures without a partner of their name."""
        mine, theirs = ({view.name for view in side} for side in self)
        return [view for view in (*self.x, *self.y) if view.name not in mine & theirs]

    @property
    def known(self) -> list[Pair]:
        """What is of one name on both sides. Raises `ValueError` where two pictures of a side share a name."""
        sources, targets = map(_by_name, self)
        return [Pair(sources[name], targets[name]) for name in sources if name in targets]

    def pairs(self) -> list[Pair]:
        """All pictures, two by two. Raises `ValueError` where one has no partner."""
        pairs, lonely = self.known, self.lonely
        if lonely:
            shown = ", ".join(str(view.path) for view in lonely[:3])
            raise ValueError(f"{len(lonely)} pictures have no partner of the same name on the other side, such as {shown}")
        return pairs

    def held(self, share: float) -> tuple["Part", "Part"]:
        """What is not held out, and what is."""
        free, kept = (
            [[v for v in side if is_held(v.name, share) == held] for side in (self.x, self.y)] for held in (False, True)
        )
        return Part(*free), Part(*kept)


@dataclass(frozen=True)
class Layout:
    """What was found. `says` is for people; `paired` where the layout itself tells partners, not only their equal names."""

    says: str
    train: Part
    val: Part = Part()
    test: Part = Part()
    paired: bool = False

    @property
    def splits(self) -> dict[str, Part]:
        """Those that have pictures, by name."""
        return {name: part for name in SPLITS if (part := getattr(self, name))}

    def learned(self, holdout: float) -> tuple[Part, Part]:
        """What is trained on, and what training is measured on: the validation split, or else the share `holdout`."""
        return (self.train, self.val) if self.val else self.train.held(holdout)


def recognise(root: Path, source: str = "", target: str = "", joined: bool = False, target_first: bool = False) -> Layout:
    """The layout of a folder, or of a file that lists pairs.

    `source` and `target` name two folders in `root`; `joined` says that its pictures are joined ones, whatever their shape;
    `target_first` exchanges the sides. Raises `Unrecognised`, which lists the layouts, where there is none, and `ValueError`
    where the folder is not what is told of it.
    """
    if bool(source) != bool(target):
        raise ValueError(f"data.source = {source!r} and data.target = {target!r}: give both folders or neither")
    if source and joined:
        raise ValueError("data.joined is for pictures that hold both source and target: leave out data.source and data.target")
    if not root.exists():
        raise ValueError(f"{root} is not there: name a folder of pictures, or a list of pairs")
    found: Layout | None
    if root.is_file():
        found = _listed({"": root})
    elif source:
        found = _two(root, source, target)
        if not found:
            raise ValueError(f"{root} has no folders {source} and {target}, as data.source and data.target name them")
    elif joined:
        found = _joined(root)
    else:
        found = _lists(root) or _two(root, "A", "B") or _only_two(root) or _joined(root, probe=True)
    if not found or not found.splits:
        raise Unrecognised(f"{root}: {_why_not(root)}")
    return _exchanged(found) if target_first else found


def pairs_in(folder: Path, target_first: bool = False) -> list[Pair]:
    """The pairs of a folder that is known to hold some: A and B in it, or else every picture below it a joined one."""
    both = [folder / side for side in ("A", "B")]
    part = Part(*map(views, both)) if all(map(Path.is_dir, both)) else _halves(folder)
    return [Pair(y, x) if target_first else Pair(x, y) for x, y in part.pairs()]


def pictures(folder: Path) -> list[Path]:
    """Every picture below `folder`, sorted by path."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and not path.name.startswith("."))


def views(folder: Path) -> list[View]:
    """Every picture below `folder`, named by its path there without the suffix."""
    return [View(path, path.relative_to(folder).with_suffix("").as_posix()) for path in pictures(folder)]


def is_held(name: str, share: float) -> bool:
    """Whether it is never trained on: decided by the last part of its name alone, so that it stays so when files are added."""
    return rank(name) < share


def rank(name: str) -> float:
    """0 to 1, even over names, from the last part of `name` alone."""
    digest = hashlib.blake2b(name.rpartition("/")[2].encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") / 2**32


def spread(items: Sequence[Item], limit: int) -> Sequence[Item]:
    """At most `limit` of them, evenly over all."""
    return items[:: max(1, -(-len(items) // limit))]


def _halves(folder: Path) -> Part:
    whole = views(folder)
    return Part(*([view._replace(half=half) for view in whole] for half in ("left", "right")))


def _by_name(side: Iterable[View]) -> dict[str, View]:
    found: dict[str, View] = {}
    for view in side:
        if view.name in found:
            other = found[view.name].path
            raise ValueError(f"{other} and {view.path} have one name, so nobody knows whose partner is whose: remove one")
        found[view.name] = view
    return found


def _parts(at: Callable[[str], tuple[Path, ...]], read: Callable[..., Part]) -> dict[str, Part]:
    """The splits whose folders are there; `at` gives those of a split's name."""
    found = {}
    for split, names in SPLITS.items():
        folders = next((folders for name in names if all(map(Path.is_dir, folders := at(name)))), None)
        if folders and (part := read(*folders)):
            found[split] = part
    return found


def _by_split(parts: dict[str, Part]) -> tuple[Part, Part, Part]:
    return parts.get("train", Part()), parts.get("val", Part()), parts.get("test", Part())


def _two(root: Path, x: str, y: str) -> Layout | None:
    def read(source: Path, target: Path) -> Part:
        return Part(views(source), views(target))

    shapes: dict[str, Callable[[str], tuple[Path, ...]]] = {
        "{0}" + x + " and {0}" + y: lambda split: (root / f"{split}{x}", root / f"{split}{y}"),
        "{0}/" + x + " and {0}/" + y: lambda split: (root / split / x, root / split / y),
        x + "/{0} and " + y + "/{0}": lambda split: (root / x / split, root / y / split),
    }
    for says, at in shapes.items():
        if parts := _parts(at, read):
            return Layout(", ".join(says.format(split) for split in parts), *_by_split(parts))
    if (root / x).is_dir() and (root / y).is_dir():
        return Layout(f"{x} and {y}", read(root / x, root / y))
    return None


def _only_two(root: Path) -> Layout | None:
    holder = root / "train" if (root / "train").is_dir() else root
    splits = {name for names in SPLITS.values() for name in names}
    folders = [path for path in sorted(holder.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    full = [path.name for path in folders if next(_below(path), None)]
    if len(full) != 2 or splits & set(full) or next(_loose(holder), None):
        return None
    return _two(root, *full)


def _joined(root: Path, probe: bool = False) -> Layout | None:
    parts = _parts(lambda split: (root / split,), _halves)
    says = ", ".join(parts)
    if not parts and (not probe or next(_loose(root), None)):
        parts, says = {"train": _halves(root)}, "the folder"
    probed = [view for part in parts.values() for view in part.x]
    if probe and not all(_is_double(view.path) for view in spread(probed, PROBED)):
        return None
    return Layout(f"joined pictures in {says}", *_by_split(parts), True)


def _is_double(path: Path) -> bool:
    try:
        with Image.open(path) as picture:
            return abs(picture.width - 2 * picture.height) <= 1
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return True  # what cannot be read is told by whoever reads it


def _lists(root: Path) -> Layout | None:
    for suffix in lists.SUFFIXES:
        found = {split: path for split in SPLITS if (path := root / f"{split}{suffix}").is_file()}
        if not found and (root / f"pairs{suffix}").is_file():
            found = {"": root / f"pairs{suffix}"}
        if found:
            return _listed(found)
    return None


def _listed(files: dict[str, Path]) -> Layout:
    lines: dict[str, list[Pair]] = {split: [] for split in SPLITS}
    for split, path in files.items():
        for line in lists.read(path, SPLITS):
            lines[split or line.split].append(Pair(View(line.source, line.name), View(line.target, line.name)))
    parts = {split: Part([pair.x for pair in pairs], [pair.y for pair in pairs]) for split, pairs in lines.items()}
    return Layout(f"pairs listed in {', '.join(path.name for path in files.values())}", *_by_split(parts), True)


def _exchanged(layout: Layout) -> Layout:
    parts = {split: Part(part.y, part.x) for split, part in layout.splits.items()}
    return Layout(f"{layout.says}, target first", *_by_split(parts), layout.paired)


def _below(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


def _loose(folder: Path) -> Iterator[Path]:
    return (path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)


def _why_not(root: Path) -> str:
    if not next(_below(root), None):
        return f"no pictures ({', '.join(sorted(SUFFIXES))}) in it"
    names = "name two folders with --set data.source=… --set data.target=…"
    return f"no layout is recognised. Those that are: {RECOGNISED}. Or {names}, or say --set data.joined=true of joined pictures"
