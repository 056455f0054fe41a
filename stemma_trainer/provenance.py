"""What a trainer declares of its code: nobody checks it, and the page says so."""

import getpass
import hashlib
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from stemma_trainer.source import git, pack

IMAGE = "TRAINER_IMAGE_DIGEST"
"""The environment variable with the digest of the container's image."""

_LOCKS = ("uv.lock", "poetry.lock", "requirements.lock", "requirements.txt")
_MOST_NAMED = 5


class Declared(NamedTuple):
    """Facts by their names, and the archive of the code."""

    facts: dict[str, str]
    archive: bytes


def declare(name: str, code: Path, packages: tuple[str, ...]) -> Declared:
    """The code's digest, the commit of its repository and what differs from it, the digests of a
    lock file and of the container's image, the command, the account of the machine, and the
    versions of packages."""
    facts = {
        "trainer": name,
        "trainer code": code_digest(code),
        "command": " ".join(sys.orig_argv)[:1000],
        "account": _account(),
        "python": platform.python_version(),
    }
    if commit := git(code, "rev-parse", "HEAD"):
        facts["git commit"] = commit.decode().strip()
        difference = git(code, "diff", "HEAD") or b""
        facts["git difference"] = hashlib.sha256(difference).hexdigest() if difference else "none"
    for lock in _LOCKS:
        if (code / lock).is_file():
            facts[lock] = hashlib.sha256((code / lock).read_bytes()).hexdigest()
            break
    if image := os.environ.get(IMAGE):
        facts["image"] = image[:200]
    for package in ("stemma-trainer", *packages):
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            continue
    source = pack(code)
    if source.left_out:
        facts["left out of the archive"] = _listed(source.left_out)
    return Declared(facts, source.content)


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        return str(os.getuid())


def _listed(left_out: dict[str, str]) -> str:
    named = [f"{path} ({why})" for path, why in list(left_out.items())[:_MOST_NAMED]]
    more = len(left_out) - len(named)
    return ("; ".join(named) + (f"; {more} more" if more else ""))[:1000]


def code_digest(code: Path) -> str:
    """The sha256 over the names and contents of the Python files of a folder, in order."""
    digest = hashlib.sha256()
    for path in sorted(code.rglob("*.py")):
        if any(part.startswith(".") for part in path.relative_to(code).parts):
            continue
        content = path.read_bytes()
        digest.update(f"{path.relative_to(code).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
