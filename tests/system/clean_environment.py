"""An environment of Python with a wheel, what the wheel says that it needs, and nothing else."""

import subprocess
import sys
from email import message_from_bytes
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

SITE_PACKAGES = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"


class CleanEnvironment:
    """A virtual environment; the packages that are needed are linked from this one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.site_packages = folder / SITE_PACKAGES
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def install(self, package: str, links: str, *extras: str) -> None:
        """Install a package with pip from a page of links, and link what it needs."""
        argv = [sys.executable, "-m", "pip", "--python", str(self.python), "install", "--quiet",
                "--no-index", "--no-deps", "--disable-pip-version-check", "--no-compile",
                "--find-links", links, package]  # fmt: skip
        subprocess.run(argv, check=True)
        (info,) = self.site_packages.glob(f"{package.replace('-', '_')}-*.dist-info")
        for needed in closure(PathDistribution(info), extras):
            self._link(needed)

    def _link(self, needed: Distribution) -> None:
        for file in needed.files or []:
            top = file.parts[0]
            if top != ".." and not (self.site_packages / top).exists():
                (self.site_packages / top).symlink_to(Path(str(needed.locate_file(top))))


def closure(package: Distribution, extras: tuple[str, ...] = ()) -> list[Distribution]:
    """What a package needs, and what that needs, as it is installed here."""
    found: dict[str, Distribution] = {}
    todo = [(package, extras or ("",))]
    while todo:
        of, wanted = todo.pop()
        metadata = message_from_bytes((of.read_text("METADATA") or "").encode())
        for text in metadata.get_all("Requires-Dist") or []:
            requirement = Requirement(text)
            marker = requirement.marker
            if marker is not None and not any(marker.evaluate({"extra": one}) for one in wanted):
                continue
            if requirement.name not in found:
                found[requirement.name] = distribution(requirement.name)
                todo.append((found[requirement.name], tuple(requirement.extras) or ("",)))
    return list(found.values())


def size_of(folder: Path) -> int:
    """The bytes of the files in a folder, and in what it links to."""
    files = [Path(path) for path in _walk(folder)]
    return sum(path.stat().st_size for path in files)


def _walk(folder: Path) -> list[str]:
    listed = ["find", "-L", str(folder), "-type", "f", "-not", "-path", "*/__pycache__/*"]
    done = subprocess.run(listed, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()
