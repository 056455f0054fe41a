"""The environment of a training: the device, the setup of torch, and a description of both."""

import hashlib
import os
import platform
from pathlib import Path

import PIL
import torch
import torchvision
from torch.utils import deterministic

import adapters.images
import domain
import gpu_worker
from domain.dataset.pixels import DECODER_RULE


class DeviceMissing(Exception):
    """The worker's settings name a device that this machine does not have."""


def choose_device(name: str) -> torch.device:
    """`auto` is the GPU if there is one; else the device named. Raises `DeviceMissing`."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceMissing(f"STEMMA_DEVICE is {name!r}; use auto, cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise DeviceMissing(f"STEMMA_DEVICE is {name!r} but torch finds no GPU on this machine")
    return device


def set_up_torch(device: torch.device, processes: int = 1) -> None:
    """Set torch up: reproducible to the bit on the CPU, fast on a GPU.

    `processes` share the cores. The number of threads is fixed, because the order and rounding of
    sums depend on it.
    """
    torch.set_num_threads(max(1, _cores() // processes))
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
    else:
        torch.use_deterministic_algorithms(True, warn_only=True)
        # Filling fresh memory reveals reads of it; we have none, and it costs time.
        deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def _cores() -> int:
    """The cores to divide: `OMP_NUM_THREADS`, of whose list the first number counts (OpenMP 5.2,
    section 21.2.2), or those of the machine."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) else os.cpu_count() or 1


def describe(device: torch.device) -> dict[str, str]:
    """The environment as an auditor needs it to reproduce the training."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "pillow": PIL.__version__,
        "decoder": str(DECODER_RULE),
        "cuda": (torch.version.cuda or "") if device.type == "cuda" else "",
        "device": _device_name(device),
        "cpu_threads": str(torch.get_num_threads()),
        "code": _code_digest(),
    }


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _code_digest() -> str:
    """The sha256 over the names and contents of the sources of this package, the domain and the
    decoder of images."""
    digest = hashlib.sha256()
    for module in (gpu_worker, domain, adapters.images):
        package = Path(module.__file__ or "").parent
        for source in sorted(package.rglob("*.py")):
            digest.update(f"{package.name}/{source.relative_to(package)}\n".encode())
            digest.update(source.read_bytes())
    return digest.hexdigest()
