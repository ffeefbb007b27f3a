"""Which pictures of a folder a job translates, and where each one goes. Reads names only and writes nothing."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from translate.runtime.errors import JobRefused
from translate.runtime.picture import FORMATS

READ_ONLY = frozenset({".heic", ".heif", ".hif", ".avif"})
"""Read where the extra is installed, never written: their translations are JPEGs."""
UNREADABLE = frozenset({".gif", ".jp2", ".jxl", ".psd", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf"})
"""Photographs that cannot be read. Somebody expects them back, so they are tried and reported as failures, not passed over."""
SYSTEM = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "system volume information"})


@dataclass(frozen=True)
class Item:
    """One picture to translate. `name` is its path below the source folder, with `/`: its key in journal and report."""

    name: str
    source: Path
    output: Path
    compare: Path | None = None
    named: bool = False
    """Whether its output's name was told, and its format with it."""

    @property
    def outputs(self) -> list[Path]:
        """All files that it becomes."""
        return [path for path in (self.output, self.compare) if path]


@dataclass(frozen=True)
class Stray:
    """Something in the source folder that is not translated. `failed`: it may hold pictures, but cannot be read."""

    name: str
    reason: str
    failed: bool = False


@dataclass(frozen=True)
class Plan:
    """What a job does, in sorted order."""

    items: list[Item]
    strays: list[Stray]


def plan_folder(source: Path, target: Path, *, compare: Path | None = None, format: str | None = None, suffix: str = "") -> Plan:
    """Pairs each picture below `source` with its output below `target` (and below `compare`, where side-by-side pictures go).

    Raises `JobRefused` where the folders overlap or two pictures would get one output name.
    """
    targets = [folder for folder in (target, compare) if folder]
    for folder in targets:
        _refuse_overlap(source, folder)
    # Where the walk must not go: back to where it came from, and to what the job writes itself
    found = list(_walk(source, "", tuple(os.path.realpath(folder) for folder in (source, *targets))))
    items = []
    names = [name for name in found if isinstance(name, str)]
    wanted = Counter(output_name(name, format, suffix).casefold() for name in names)
    for name in names:
        output = output_name(name, format, suffix)
        if wanted[output.casefold()] > 1 and PurePosixPath(name).suffix.lower() in READ_ONLY:
            # Telephones keep IMG_1.HEIC beside IMG_1.JPG
            output = output_name(f"{name}{PurePosixPath(output).suffix}", format, suffix)
        items.append(Item(name, source / name, target / output, compare / output if compare else None))
    _refuse_links_to_originals(items)
    refuse_collisions(items)
    return Plan(items, [stray for stray in found if isinstance(stray, Stray)])


def plan_file(source: Path, target: Path, *, compare: bool = False, format: str | None = None, suffix: str = "") -> Plan:
    """The plan for one picture. `target` is a folder where it exists as one or has no suffix, else the output's own name."""
    named = bool(target.suffix) and not target.is_dir()
    if not named:
        target = target / output_name(source.name, format, suffix)
    elif suffix:
        raise JobRefused(f"{target} is the output's whole name: --suffix goes with a folder")
    if named or target.suffix.lower() not in UNREADABLE:  # those fail when they are read, which says more
        refuse_contradiction(target, format)
    beside = target.with_name(f"{target.stem}.compare{target.suffix}") if compare else None
    if os.path.realpath(source) == os.path.realpath(target):
        raise JobRefused(f"{target} is the picture itself: give another name, or --suffix=-restored")
    return Plan([Item(source.name, source, target, beside, named)], [])


def output_name(name: str, format: str | None, suffix: str) -> str:
    """`a/b.heic` -> `a/b-restored.jpg`: the suffix goes before the dot; the extension changes only where the format does."""
    path = PurePosixPath(name)
    extension = path.suffix
    if format is None and extension.lower() in READ_ONLY:
        format = "JPEG"
    if format is not None and extension.lower() not in FORMATS[format].suffixes:
        extension = FORMATS[format].suffixes[0]
    return str(path.with_name(f"{path.stem}{suffix}{extension}"))


def refuse_contradiction(target: Path, format: str | None) -> None:
    """Raises `JobRefused` where an output's name asks for no format, or for another one than told."""
    names = [name for name in FORMATS if target.suffix.lower() in FORMATS[name].suffixes]
    if names and format in (None, *names):
        return
    wanted = format or f"one of {', '.join(FORMATS)}"
    raise JobRefused(f"{target} ends in '{target.suffix}', which is not {wanted}")


def _walk(folder: Path, prefix: str, closed: tuple[str, ...]) -> Iterator[str | Stray]:
    """Names of pictures, and strays, sorted. Linked folders are followed, except to `closed` ones and to those that hold them."""
    try:
        entries = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        yield Stray(prefix, f"the folder cannot be read: {error.strerror}", failed=True)
        return
    for entry in entries:
        name, path = prefix + entry, folder / entry
        if entry.startswith(".") or entry.lower() in SYSTEM:
            yield Stray(name, "hidden or system file")
        elif path.is_dir():
            real = os.path.realpath(path)
            if real in closed or Path(closed[0]).is_relative_to(real):
                yield Stray(name, "a link back to a folder that holds it, or to the outputs")
            else:
                yield from _walk(path, f"{name}/", (*closed, real))
        elif not os.path.isfile(path):  # noqa: PTH113 (Path.is_file raises on a link to itself)
            yield Stray(name, "a broken link or no regular file")
        elif not _looks_like_picture(entry):
            yield Stray(name, "no picture by its name")
        else:
            yield name


def _looks_like_picture(name: str) -> bool:
    extension = PurePosixPath(name).suffix.lower()
    return extension in READ_ONLY | UNREADABLE or any(extension in format.suffixes for format in FORMATS.values())


def _refuse_overlap(source: Path, target: Path) -> None:
    inside, outside = Path(os.path.realpath(source)), Path(os.path.realpath(target))
    if inside.is_relative_to(outside) or outside.is_relative_to(inside):
        raise JobRefused(f"{target} and {source} overlap: outputs would mix with the originals; choose a folder beside {source}")


def _refuse_links_to_originals(items: Iterable[Item]) -> None:
    originals = {os.path.realpath(folder) for folder in {item.source.parent for item in items}}
    for folder in sorted({path.parent for item in items for path in item.outputs}):
        if os.path.realpath(folder) in originals:
            raise JobRefused(f"{folder} is a link to originals, which would be overwritten: remove it, or choose another folder")


def refuse_collisions(items: Iterable[Item], *, case: bool = True) -> None:
    """Raises `JobRefused` where two pictures would get one name; without `case`, names that differ only in case are one."""
    owners: dict[str, str] = {}
    clashes = []
    for item in items:
        output = str(item.output)
        owner = owners.setdefault(output if case else output.casefold(), item.name)
        if owner != item.name:
            clashes.append(f"{owner} and {item.name} would both become {item.output}")
    if clashes:
        why = "" if case else ", because the file system there takes capital and small letters for the same"
        raise JobRefused(f"{some(clashes, '; ')}{why}. Move one of them, or keep the formats as they are")


def some(things: list[str], separator: str = ", ", most: int = 5) -> str:
    """The first few, and how many more."""
    more = f"{separator}and {len(things) - most} more" if len(things) > most else ""
    return separator.join(things[:most]) + more
