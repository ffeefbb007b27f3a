"""Audit: what is wrong with pictures before they are trained on. Each is decoded once, and little is kept of it."""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from statistics import median_low
from typing import Literal, NamedTuple, TypeVar

import numpy as np

from translate.data import copies, lists
from translate.data.layouts import SUFFIXES, Layout, Pair, Part, Unrecognised, pictures, recognise, views
from translate.data.pixels import half
from translate.runtime.errors import TranslateError
from translate.runtime.picture import Picture

Kind = Literal["aligned", "unpaired", "photographs"]
Group = list["Facts"]

Key = TypeVar("Key", bound=Hashable)

FEW = 100
"""Pictures of a side, or pairs, below which a training learns them by heart rather than what they have in common."""


SIDES = {"x": "source", "y": "target", "": "picture"}
"""Both sides of a joined picture, and photographs that are of no two kinds, have the empty one."""


class Place(NamedTuple):
    """Where a file belongs."""

    path: Path
    split: str
    side: str


@dataclass(frozen=True)
class Facts:
    """What is kept of one file. With an `error` there is nothing else."""

    place: Place
    error: str = ""
    width: int = 0
    height: int = 0
    mode: str = ""
    alpha: bool = False
    digest: bytes = b""
    """Of its pixels, so that neither format nor metadata matter."""
    thumbnail: copies.Float | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Finding:
    """`breaks`: training would refuse it, or its measures would be worth nothing."""

    code: str
    breaks: bool
    says: str
    where: Sequence[str] = ()


@dataclass(frozen=True)
class Row:
    """The pictures of one side of a split: how many, their sizes (least, median, largest) and kinds of pixels."""

    split: str
    side: str
    count: int
    width: tuple[int, int, int]
    height: tuple[int, int, int]
    modes: dict[str, int]


@dataclass(frozen=True)
class Report:
    layout: str
    kind: Kind
    rows: list[Row]
    findings: list[Finding]

    @property
    def sound(self) -> bool:
        """Nothing would break."""
        return not any(finding.breaks for finding in self.findings)


def find(root: Path, kind: Kind | None, source: str, target: str, joined: bool, target_first: bool) -> tuple[Layout, Kind]:
    """The layout of `root`, and whether its two sides are pairs: told, or by most of their names; photographs where there is
    no layout. Raises `ValueError` where there is nothing, or not what is told."""
    if kind != "photographs":
        try:
            layout = recognise(root, source, target, joined, target_first)
        except Unrecognised:
            if kind or joined or not pictures(root):
                raise
        else:
            return layout, kind or _kind(layout)
    if not (found := views(root)):
        raise ValueError(f"{root} holds no pictures")
    return Layout("photographs (no layout of two kinds of pictures)", Part(found)), "photographs"


def _kind(layout: Layout) -> Kind:
    parts = layout.splits.values()
    lonely, every = sum(len(part.lonely) for part in parts), sum(len(side) for part in parts for side in part)
    return "aligned" if layout.paired or 2 * lonely < every else "unpaired"


def audit(root: Path, layout: Layout, kind: Kind, tell: Callable[[int, int], None] = lambda done, total: None) -> Report:
    """Looks at every picture of `layout`, on all processors. `tell` hears how many of how many have been seen."""
    jobs = list(_jobs(layout, kind))
    facts: list[Facts] = []
    moved: list[str] = []
    unequal: list[str] = []
    odd: list[str] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, seen in enumerate(pool.map(_look, jobs), 1):
            facts += seen.facts
            moved += seen.moved
            unequal += seen.unequal
            odd += seen.odd
            tell(done, len(jobs))
    read = [fact for fact in facts if not fact.error]
    found = [
        Finding("unreadable", True, "cannot be read", [f"{fact.place.path}: {fact.error}" for fact in facts if fact.error]),
        *(_partners(layout) if kind == "aligned" and not layout.paired else []),
        Finding("unequal", True, "pairs whose pictures differ in size", unequal),
        Finding("moved", False, "pairs whose pictures seem to be moved against each other", moved),
        Finding("odd", False, "joined pictures of an odd width, whose middle column is left out", odd),
        *_copies(read),
        *_modes(read),
        *_counts(layout, kind),
        Finding("strange", False, "files that are no pictures of a format that is read", _strange(root)),
    ]
    rows = [_row(*key, group) for key, group in _grouped(read, lambda fact: (fact.place.split, fact.place.side)).items()]
    return Report(layout.says, kind, rows, [finding for finding in found if finding.where])


class _Seen(NamedTuple):
    facts: list[Facts]
    unequal: list[str]
    moved: list[str]
    odd: list[str]


class _Job(NamedTuple):
    places: list[Place]
    pair: Pair | None


def _jobs(layout: Layout, kind: Kind) -> Iterator[_Job]:
    for split, part in layout.splits.items():
        pairs = _couples(part) if kind == "aligned" else []
        for pair in pairs:
            sides = [""] if pair.x.path == pair.y.path else ["x", "y"]
            yield _Job([Place(view.path, split, side) for view, side in zip(pair, sides, strict=False)], pair)
        taken = {view for pair in pairs for view in pair}
        alone = {
            Place(view.path, split, "" if view.half or kind == "photographs" else side)
            for side, found in zip("xy", part, strict=True)
            for view in found
            if view not in taken
        }
        yield from (_Job([place], None) for place in sorted(alone))


def _couples(part: Part) -> list[Pair]:
    try:
        return part.known
    except ValueError:  # two of one name, which `_partners` tells
        return []


def _look(job: _Job) -> _Seen:
    opened = [_open(place) for place in job.places]
    facts = [fact for fact, _ in opened]
    seen = _Seen(facts, [], [], [])
    pixels = [picture for _, picture in opened if picture is not None]
    if job.pair is None or len(pixels) < len(opened):
        return seen
    x, y = (half(each, view) for each, view in zip((pixels * 2)[:2], job.pair, strict=True))
    if len(pixels) == 1 and pixels[0].shape[1] % 2:
        seen.odd.append(str(job.pair.x.path))
    if x.shape[:2] != y.shape[:2]:
        sizes = (f"{view.path} ({each.shape[1]}×{each.shape[0]})" for view, each in zip(job.pair, (x, y), strict=True))
        seen.unequal.append(" and ".join(sizes))
    elif (shift := copies.moved(x, y)) is not None:
        seen.moved.append(f"{job.pair.y.path}, by {shift[0]} pixels to the right and {shift[1]} down")
    return seen


def _open(place: Place) -> tuple[Facts, np.ndarray | None]:
    try:
        picture = Picture.open(place.path)
    except (TranslateError, OSError) as error:
        return Facts(place, str(error).removeprefix(f"{place.path}").lstrip(": ")), None
    pixels = picture.pixels
    digest = blake2b(f"{pixels.shape}{pixels.dtype}".encode(), digest_size=16)
    for row in pixels:  # turned pictures do not lie in one piece, and a copy would take as much again
        digest.update(row.tobytes())
    mode = f"{'grey' if picture.grey else 'RGB'}, {picture.bits} bits"
    thumbnail = copies.thumbnail(pixels)
    veiled = picture.alpha is not None
    return Facts(place, "", picture.width, picture.height, mode, veiled, digest.digest(), thumbnail), pixels


def _partners(layout: Layout) -> Iterator[Finding]:
    for part in layout.splits.values():
        try:
            part.known  # noqa: B018 - raises
        except ValueError as error:
            yield Finding("names", True, "two pictures of one name", [str(error)])
    lonely = [str(view.path) for part in layout.splits.values() for view in part.lonely]
    yield Finding("lonely", True, "pictures without a partner of their name", lonely)


def _copies(read: Sequence[Facts]) -> Iterator[Finding]:
    def told(groups: Sequence[Group]) -> list[str]:
        return [" = ".join(str(fact.place.path) for fact in group) for group in groups]

    # Flat pictures, such as empty masks, are equal without being copies
    read = [fact for fact in read if fact.thumbnail is not None]
    equal = [group for group in _grouped(read, lambda fact: fact.digest).values() if len(group) > 1]
    leaks = [group for group in equal if len({fact.place.split for fact in group}) > 1]
    sides = [group for group in equal if group not in leaks and len({fact.place.side for fact in group}) > 1]
    rest = [group for group in equal if group not in leaks and group not in sides]
    yield Finding("leak", True, "pictures in more than one split: measures would be of what was learned", told(leaks))
    yield Finding("both-sides", False, "pictures that are source and target alike", told(sides))
    yield Finding("duplicate", False, "pictures that are there more than once", told(rest))

    shown = list({fact.digest: fact for fact in read}.values())
    vectors = [fact.thumbnail for fact in shown if fact.thumbnail is not None]
    near = [[shown[i], shown[j]] for i, j in copies.alike(vectors) if shown[i].place.side == shown[j].place.side]
    across = [group for group in near if group[0].place.split != group[1].place.split]
    within = [group for group in near if group not in across]
    yield Finding("near-leak", False, "pictures of different splits that look alike: perhaps versions of one", told(across))
    yield Finding("near-duplicate", False, "pictures that look alike: perhaps versions of one", told(within))


def _modes(read: Sequence[Facts]) -> Iterator[Finding]:
    for side, group in _grouped(read, lambda fact: fact.place.side).items():
        modes = Counter(fact.mode for fact in group)
        if len(modes) > 1:
            which = f"the {SIDES[side]}s mix kinds of pixels, which data.channels makes one"
            yield Finding("mixed", False, which, [f"{count} of {mode}" for mode, count in modes.most_common()])
    veiled = [str(fact.place.path) for fact in read if fact.alpha]
    yield Finding("alpha", False, "pictures with transparency, which is left out", veiled)


def _counts(layout: Layout, kind: Kind) -> Iterator[Finding]:
    sides = [("source", layout.train.x), ("target", layout.train.y)][: 1 if kind == "photographs" else 2]
    empty = [f"no {name} pictures" for name, side in sides if not side]
    yield Finding("empty", True, "nothing to train on", empty)
    few = [f"{len(side)} {name} pictures" for name, side in sides if 0 < len(side) < FEW]
    yield Finding("tiny", False, f"fewer than {FEW} to train on: they will be learned by heart", few)


def _strange(root: Path) -> list[str]:
    files = [path for path in root.rglob("*") if path.is_file() and not path.name.startswith(".")] if root.is_dir() else []
    strange = Counter(
        path.suffix.lower() or "no suffix" for path in files if path.suffix.lower() not in (*SUFFIXES, *lists.SUFFIXES)
    )
    return [f"{count} of {suffix}" for suffix, count in strange.most_common()]


def _row(split: str, side: str, group: Sequence[Facts]) -> Row:
    def spread(numbers: list[int]) -> tuple[int, int, int]:
        return min(numbers), median_low(numbers), max(numbers)

    widths, heights = spread([fact.width for fact in group]), spread([fact.height for fact in group])
    return Row(split, SIDES[side], len(group), widths, heights, dict(Counter(fact.mode for fact in group).most_common()))


def _grouped(facts: Sequence[Facts], key: Callable[[Facts], Key]) -> dict[Key, Group]:
    groups: defaultdict[Key, Group] = defaultdict(list)
    for fact in facts:
        groups[key(fact)].append(fact)
    return dict(groups)
