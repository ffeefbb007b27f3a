"""How many CPUs this process may really use: a container's quota is not visible in the machine's CPU count."""

import math
import os
from collections.abc import Iterator
from pathlib import Path


def usable_cpus(root: Path = Path("/")) -> int:
    """Smaller of the CPUs in the affinity mask and the cgroup quota (v1 and v2, of every ancestor), rounded up, at least 1.

    `root` is the folder that holds `proc` and `sys`.
    """
    limits = [float(_affinity()), *_quotas(root)]
    return max(1, math.ceil(min(limits)))


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas(root: Path) -> Iterator[float]:
    """CPU quotas, in CPUs, of the process's cgroups and of all their ancestors that this process can see."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        hierarchy, controllers, path = line.split(":", 2)
        mounts = root / "sys/fs/cgroup"
        if hierarchy == "0":
            # "unified": where v1 and v2 live side by side
            for mount in (mounts, mounts / "unified"):
                yield from (quota for folder in _upwards(mount, path) if (quota := _quota_v2(folder)) is not None)
        elif "cpu" in controllers.split(","):
            for mount in (mounts / controllers, mounts / "cpu"):
                yield from (quota for folder in _upwards(mount, path) if (quota := _quota_v1(folder)) is not None)


def _upwards(mount: Path, path: str) -> Iterator[Path]:
    # A path that starts with ".." lies outside the cgroup namespace: only what is mounted can be read
    parts = [part for part in path.split("/") if part and part != ".."]
    for depth in range(len(parts), -1, -1):
        yield mount.joinpath(*parts[:depth])


def _quota_v2(folder: Path) -> float | None:
    match _read(folder / "cpu.max").split():
        case [quota, period] if quota != "max":
            return int(quota) / int(period)
    return None


def _quota_v1(folder: Path) -> float | None:
    quota, period = _read(folder / "cpu.cfs_quota_us").strip(), _read(folder / "cpu.cfs_period_us").strip()
    if not quota or not period or int(quota) <= 0:
        return None
    return int(quota) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # not Linux, no such controller, or hidden from this container: no limit to be known
        return ""
