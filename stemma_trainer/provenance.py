"""What a trainer declares of its code: nobody checks it, and the page says so."""

import getpass
import hashlib
import os
import platform
import sys
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from stemma_trainer.source import Source, git, not_skipped, pack

IMAGE = "TRAINER_IMAGE_DIGEST"
"""The environment variable with the digest of the container's image."""

_LOCKS = ("uv.lock", "poetry.lock", "requirements.lock", "requirements.txt")
_MOST_NAMED = 5


class Declared(NamedTuple):
    """Facts by their names, and the archive of the code."""

    facts: dict[str, str]
    archive: bytes


class Code(NamedTuple):
    """The folder of a trainer's code, and the file in it that has the trainer's function."""

    folder: Path
    own: Path

    @property
    def own_name(self) -> str | None:
        """Relative to the folder; None if it is elsewhere."""
        own, folder = self.own.parent.resolve() / self.own.name, self.folder.resolve()
        return own.relative_to(folder).as_posix() if own.is_relative_to(folder) else None

    def packed(self) -> Source:
        return pack(self.folder, self.own_name)


def missing(code: Code, left_out: dict[str, str]) -> str | None:
    """Why the archive would not have the trainer's own file, and what to do; None if it has."""
    if code.own_name is None:
        why = f"it is not in the folder {code.folder}: set `code` of @trainer(…) to a folder above"
    elif reason := left_out.get(code.own_name):
        why = f"{reason}: rename the file, or move what is to blame out of it"
    else:
        return None
    return (
        f"the archive of the code cannot include the trainer's own file {code.own}, because {why}"
    )


def summary(left_out: dict[str, str]) -> str:
    """How many files the archive leaves out, and why, in a line."""
    reasons = Counter(left_out.values()).most_common()
    files = f"{len(left_out):,} file{'' if len(left_out) == 1 else 's'}"
    why = ", ".join(f"{count:,} because {reason}" for reason, count in reasons)
    return f"the archive of the code leaves out {files}: {why}"


def declare(name: str, code: Code, packages: tuple[str, ...]) -> Declared:
    """The code's digest, the commit of its repository and what differs from it, the digests of a
    lock file and of the container's image, the command, the account of the machine, and the
    versions of packages."""
    facts = {
        "trainer": name,
        "trainer code": code_digest(code.folder),
        "command": " ".join(sys.orig_argv)[:1000],
        "account": _account(),
        "python": platform.python_version(),
    }
    if commit := git(code.folder, "rev-parse", "HEAD"):
        facts["git commit"] = commit.decode().strip()
        difference = git(code.folder, "diff", "HEAD") or b""
        facts["git difference"] = hashlib.sha256(difference).hexdigest() if difference else "none"
    for lock in _LOCKS:
        if (code.folder / lock).is_file():
            facts[lock] = hashlib.sha256((code.folder / lock).read_bytes()).hexdigest()
            break
    if image := os.environ.get(IMAGE):
        facts["image"] = image[:200]
    for package in ("stemma-trainer", *packages):
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            continue
    source = code.packed()
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
    paths = (path.relative_to(code) for path in sorted(code.rglob("*.py")))
    names = [
        path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts)
    ]
    for name in not_skipped(code, names):
        content = (code / name).read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
