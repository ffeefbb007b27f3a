"""EXIF at the level of its bytes: TIFF directories (IFDs) read, patched in place, and written.

Patched, not parsed and written anew: maker notes point into the block by offset, so they survive only where they were.
"""

import io
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

IMAGE_WIDTH, IMAGE_LENGTH, ORIENTATION = 0x100, 0x101, 0x112
EXIF_IFD, GPS_IFD, INTEROP_IFD = 0x8769, 0x8825, 0xA005
PIXEL_X, PIXEL_Y = 0xA002, 0xA003
SHORT, LONG = 3, 4
POINTERS = (EXIF_IFD, GPS_IFD, INTEROP_IFD)
THUMBNAIL_SPANS = ((0x201, 0x202), (0x111, 0x117))
"""(offset tag, length tag) of a thumbnail: as JPEG, or as one uncompressed strip."""
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of one value of each TIFF type."""
RATIONALS = (5, 10)
MAX_BYTES = 64 << 20
"""Most bytes of values that are read from one directory: in a hostile file many tags may point to the same bytes."""


class Layout(NamedTuple):
    """How a TIFF structure packs its numbers."""

    order: str
    """`<` little-endian or `>` big-endian."""
    big: bool = False
    """BigTIFF: 64-bit offsets."""

    @property
    def offset(self) -> str:
        return self.order + ("Q" if self.big else "I")

    @property
    def length(self) -> str:
        return self.order + ("Q" if self.big else "H")

    @property
    def entry(self) -> str:
        return self.order + ("HHQ8s" if self.big else "HHI4s")


class Entry(NamedTuple):
    """One tag of a directory."""

    kind: int
    number: int
    """How many values."""
    value: bytes
    """As in the file, in its byte order."""
    at: int = 0
    """Where in the file the value stands."""
    ifd: Mapping[int, "Entry"] | None = None
    """The directory that the tag points to, where it is one of `POINTERS`."""


Ifd = Mapping[int, Entry]


@dataclass(frozen=True)
class Directory:
    """A directory read from a file."""

    tags: Ifd
    next: int
    """Offset of the directory that follows, 0 for none."""
    next_at: int
    """Where that offset stands."""
    damaged: int
    """How many tags were left out, because their values lie outside the file."""


def read_header(file: BinaryIO) -> tuple[Layout, int]:
    """Layout and offset of the first directory. Raises `ValueError` where it is no TIFF structure."""
    file.seek(0)
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 8:
        raise ValueError("no TIFF header")
    layout = Layout(order, big=struct.unpack_from(order + "H", head, 2)[0] == 43)
    if layout.big and len(head) < 16:
        raise ValueError("no TIFF header")
    return layout, struct.unpack_from(layout.offset, head, 8 if layout.big else 4)[0]


def read_directory(file: BinaryIO, layout: Layout, offset: int, depth: int = 0) -> Directory:
    """A directory with its Exif, GPS and interoperability directories; tags whose value lies outside the file are left out.

    Raises `ValueError` where the directory itself lies outside the file.
    """
    end = file.seek(0, os.SEEK_END)
    file.seek(offset)
    count = _unpack(file, layout.length)
    size = struct.calcsize(layout.entry)
    start = file.tell()
    if start + count * size + struct.calcsize(layout.offset) > end:
        raise ValueError(f"a directory of {count} tags at byte {offset} does not end within the file")
    records = file.read(count * size)
    next_at = file.tell()
    following = _unpack(file, layout.offset)
    tags: dict[int, Entry] = {}
    budget, damaged = min(end, MAX_BYTES), 0
    for i, (tag, kind, number, inline) in enumerate(struct.iter_unpack(layout.entry, records)):
        length = SIZES.get(kind, 0) * number
        at = start + (i + 1) * size - len(inline)
        if length > len(inline):
            at = struct.unpack(layout.offset, inline)[0]
        if not length or length > budget or at + length > end:
            damaged += length > 0
            continue
        budget -= length
        file.seek(at)
        entry = Entry(kind, number, file.read(length), at)
        if tag in POINTERS and depth < 2:
            entry = entry._replace(ifd=_read_inner(file, layout, entry, depth))
        tags[tag] = entry
    return Directory(tags, following, next_at, damaged)


def integer(entry: Entry | None, order: str, default: int = 0) -> int:
    """The first value of a tag of integers."""
    code = {1: "B", SHORT: "H", LONG: "I", 13: "I", 16: "Q", 18: "Q"}.get(entry.kind if entry else 0)
    return struct.unpack_from(order + code, entry.value)[0] if entry and code else default


def orientation(exif: bytes) -> int:
    """1 to 8; 1 where there is none. Raises `ValueError` where the block cannot be read."""
    layout, first = read_header(io.BytesIO(exif))
    value = integer(read_directory(io.BytesIO(exif), layout, first).tags.get(ORIENTATION), layout.order, 1)
    return value if 1 <= value <= 8 else 1


def tidied(exif: bytes) -> bytes:
    """The same block for a picture turned upright: orientation 1 and no thumbnail, every other byte as it was."""
    block, file = bytearray(exif), io.BytesIO(exif)
    layout, first = read_header(file)
    main = read_directory(file, layout, first)
    _patch(block, layout, main.tags, ORIENTATION, 1)
    if main.next:
        struct.pack_into(layout.offset, block, main.next_at, 0)
        _erase_thumbnail(block, file, layout, main.next)
    return bytes(block)


def with_size(exif: bytes, width: int, height: int) -> bytes:
    """The same block with the tags of the picture's size, where it has them, set right."""
    block, file = bytearray(exif), io.BytesIO(exif)
    layout, first = read_header(file)
    main = read_directory(file, layout, first).tags
    inner = main[EXIF_IFD].ifd if EXIF_IFD in main else None
    for tags, x, y in ((main, IMAGE_WIDTH, IMAGE_LENGTH), (inner or {}, PIXEL_X, PIXEL_Y)):
        _patch(block, layout, tags, x, width)
        _patch(block, layout, tags, y, height)
    return bytes(block)


def build(tags: Ifd, layout: Layout, at: int) -> bytes:
    """The bytes of a directory with its inner directories, to stand at offset `at` (even) of a file."""
    room = struct.calcsize(layout.offset)
    head = struct.calcsize(layout.length) + len(tags) * struct.calcsize(layout.entry) + room
    records, body = [struct.pack(layout.length, len(tags))], b""
    for tag, entry in sorted(tags.items()):
        kind, number, value, here = entry.kind, entry.number, entry.value, at + head + len(body)
        if entry.ifd is not None:
            body += build(entry.ifd, layout, here)
            kind, number, value = (16 if layout.big else LONG), 1, struct.pack(layout.offset, here)
        elif len(value) > room:
            body += value + bytes(len(value) % 2)
            value = struct.pack(layout.offset, here)
        records.append(struct.pack(layout.entry, tag, kind, number, value))
    return b"".join([*records, bytes(room), body])


def block(tags: Ifd, order: str) -> bytes:
    """An EXIF block that holds a directory."""
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HI", 42, 8)
    return head + build(tags, Layout(order), 8)


def swapped(tags: Ifd) -> dict[int, Entry]:
    """The same tags with their values in the other byte order."""
    return {tag: entry._replace(value=_swap(entry), ifd=swapped(entry.ifd) if entry.ifd else None) for tag, entry in tags.items()}


def _swap(entry: Entry) -> bytes:
    size = SIZES[entry.kind] // (2 if entry.kind in RATIONALS else 1)
    return b"".join(entry.value[i : i + size][::-1] for i in range(0, len(entry.value), size)) if size > 1 else entry.value


def _unpack(file: BinaryIO, code: str) -> int:
    data = file.read(struct.calcsize(code))
    if len(data) < struct.calcsize(code):
        raise ValueError("a directory lies outside the file")
    return int(struct.unpack(code, data)[0])


def _read_inner(file: BinaryIO, layout: Layout, pointer: Entry, depth: int) -> Ifd | None:
    try:
        return read_directory(file, layout, integer(pointer, layout.order), depth + 1).tags
    except ValueError:  # a dangling pointer loses its own directory, not the others
        return None


def _patch(block: bytearray, layout: Layout, tags: Ifd, tag: int, value: int) -> None:
    entry = tags.get(tag)
    if entry and entry.number == 1 and entry.kind in (SHORT, LONG):
        struct.pack_into(layout.order + ("H" if entry.kind == SHORT and value < 65536 else "I"), block, entry.at, value)
        if entry.kind == SHORT and value > 65535:
            struct.pack_into(layout.order + "H", block, entry.at - 6, LONG)


def _erase_thumbnail(block: bytearray, file: BinaryIO, layout: Layout, offset: int) -> None:
    """Overwrites the thumbnail with zeros, and cuts them off where they end the block."""
    try:
        tags = read_directory(file, layout, offset).tags
    except ValueError:
        return
    for start_tag, length_tag in THUMBNAIL_SPANS:
        start, length = (integer(tags.get(tag), layout.order) for tag in (start_tag, length_tag))
        if offset < start < start + length <= len(block):
            block[start : start + length] = bytes(length)
            if start + length == len(block):
                del block[start:]
