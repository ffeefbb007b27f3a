"""Folders of small pictures, and what became of them."""

import hashlib
import os
from pathlib import Path

import numpy as np
from PIL import Image

from translate.runtime.batch import run
from translate.runtime.job import Job
from translate.runtime.journal import Record
from translate.runtime.model import Model

NAMES = ["a.png", "b.jpg", "sub dir/c.PNG", "sub dir/é/d [1].webp", "z.bmp"]


def draw(path: Path, seed: int = 0, height: int = 12, width: int = 17) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, quality=90)
    os.utime(path, (1_000_000_000 + seed, 1_000_000_000 + seed))


def finish(job: Job, jobs: int = 2) -> list[Record]:
    return list(run(job, Model.open(job.model), jobs=jobs)) if job.todo else []


def contents(folder: Path) -> dict[str, tuple[str, int]]:
    """Hash and date of each file, hidden ones too."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(p.relative_to(folder)): (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns) for p in files}


def inodes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_ino for path in folder.rglob("*") if path.is_file()}
