"""Where a run takes place: versions, machine, device, code and command."""

import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
import torch.distributed as dist

import translate

PACKAGES = ("torch", "torchvision", "lightning", "numpy", "safetensors")


def describe(device: str) -> dict[str, str]:
    """In words, by topic. `device` is the recipe's."""
    return {
        "command": shlex.join([*(command().split() if several() else [Path(sys.argv[0]).name]), *sys.argv[1:]]),
        "processes": os.environ["WORLD_SIZE"] if several() else "1",
        "device": device_name(device),
        "processor": f"{processor()}, {_cores()} of {os.cpu_count()} cores",
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release()} ({platform.machine()})",
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
        "translate": translate.__version__,
        "commit": _code(),
    }


def several() -> bool:
    """Whether torchrun has started this process, perhaps beside others."""
    return dist.is_available() and dist.is_torchelastic_launched()


def command() -> str:
    """What starts a training as this one was started; its options have to follow."""
    if not several():
        return "translate-train"
    world, each = (int(os.environ[name]) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    machines = f" --nnodes {world // each}" if world > each else ""
    return f"torchrun{machines} --nproc-per-node {each} -m translate.cli.train"


def device_name(device: str) -> str:
    """What a recipe's `device` is on this machine."""
    if device in ("auto", "cuda", "gpu") and torch.cuda.is_available():
        return f"cuda: {torch.cuda.get_device_name()}, CUDA {torch.version.cuda}"
    if device in ("auto", "mps") and torch.backends.mps.is_available():
        return "mps"
    return f"cpu: {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"


def computes_bf16(device: str) -> bool:
    """Whether the machine itself computes in bfloat16, on what a recipe's `device` is there; elsewhere float32 is faster."""
    kind = device_name(device).partition(":")[0]
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    can = torch.cpu.get_capabilities()
    return kind == "cpu" and any(can.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def _code() -> str:
    if not (known := commit()):
        return "not known: installed without its history"
    return known + (", with changes" if _git("status", "--porcelain", "--untracked-files=no") else "")


def commit() -> str:
    """The commit that this code was checked out at, or nothing where it was installed without its history."""
    return _git("rev-parse", "HEAD")


def _git(*words: str) -> str:
    here = Path(__file__).resolve().parents[2]
    if not (here / ".git").exists():
        return ""
    return subprocess.run(["git", "-C", str(here), *words], capture_output=True, text=True, check=False).stdout.strip()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def processor() -> str:
    told = Path("/proc/cpuinfo")
    lines = told.read_text(encoding="utf-8").splitlines() if told.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory() -> str:
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return "not told by this system"
    return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.1f} GiB"
