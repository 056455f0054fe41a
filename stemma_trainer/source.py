"""The archive of a trainer's code: the text files that git does not ignore, bounded, and none that
looks like a secret. The same files give the same bytes."""

import gzip
import io
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

MOST_FILE_BYTES = 1 << 20
MOST_BYTES = 16 << 20
MOST_FILES = 2_000
MOST_NAMES = 20_000
"""Files that are looked at: the folder may hold a dataset, too."""

DIFFERENCE = ".stemma/git-difference.patch"
"""The file in the archive with what differs from the commit."""

_GIT_SECONDS = 30
_BEGINNING = 8_000
"""Bytes of a file in which a text has no NUL: git tells texts from others so."""

SECRET_NAMES = re.compile(
    r"(?i)(\.env(\..*)?|.*\.(pem|key|p12|pfx|jks|keystore|seed|nk)|id_(rsa|dsa|ecdsa|ed25519).*"
    r"|\.netrc|\.npmrc|\.pypirc|\.pgpass|credentials(\..*)?|secrets?(\..*)?|kubeconfig)"
)
SECRET_CONTENTS = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY-----"  # PEM, RFC 7468
    rb"|(?<![A-Z0-9])(AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])"  # access keys of object stores
    rb"|(?<![A-Za-z0-9])S[UANCOX][A-Z2-7]{56}(?![A-Z2-7])"  # seeds of NATS
    rb"|(?<![A-Za-z0-9])gh[opsu]_[A-Za-z0-9]{36}"
    rb"|(?<![A-Za-z0-9])xox[abpr]-[A-Za-z0-9-]{10,}"
    rb"|(?i:(password|passwd|secret|token|api_?key)['\"]?\s*[:=]\s*['\"])[^'\"\s]{16,}['\"]"
)


SKIPPED_FOLDERS = {
    ".git",
    ".ipynb_checkpoints",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    "__pycache__",
    "node_modules",
    "site-packages",
}
ENVIRONMENT = "pyvenv.cfg"
"""The file that makes a folder a virtual environment; such folders are skipped, too."""


class Source(NamedTuple):
    """The archive's bytes, and why each file that was left out was."""

    content: bytes
    left_out: dict[str, str]


def pack(folder: Path, first: str | None = None) -> Source:
    """The archive of a folder's files, a tar with gzip. Links are left out.

    `first` names the file that is put in before all others, even if git ignores it.
    """
    left_out: dict[str, str] = {}
    packed = io.BytesIO()
    size = count = 0
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0, filename="") as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, content in _files(folder, first, left_out):
            problem = _problem(name, content)
            if problem is None and (size + len(content) > MOST_BYTES or count >= MOST_FILES):
                problem = "the archive would be too large"
            if problem is not None:
                left_out[name] = problem
                continue
            size, count = size + len(content), count + 1
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return Source(packed.getvalue(), left_out)


def _problem(name: str, content: bytes) -> str | None:
    if SECRET_NAMES.fullmatch(name.rsplit("/", 1)[-1]):
        return "its name is that of a secret"
    if SECRET_CONTENTS.search(content):
        return "it holds what looks like a secret"
    return None


def not_skipped(folder: Path, names: Iterable[str]) -> Iterator[str]:
    """The names of those files that are in no virtual environment, cache or folder of packages."""
    skipped = {".": False}

    def is_skipped(inner: str) -> bool:
        if inner not in skipped:
            above, _, own = inner.rpartition("/")
            skipped[inner] = (
                own in SKIPPED_FOLDERS
                or is_skipped(above or ".")
                or (folder / inner / ENVIRONMENT).is_file()
            )
        return skipped[inner]

    return (name for name in names if not is_skipped(name.rpartition("/")[0] or "."))


def _files(
    folder: Path, first: str | None, left_out: dict[str, str]
) -> Iterator[tuple[str, bytes]]:
    names = sorted(not_skipped(folder, _names(folder) - {first}))
    if first is not None:
        names.insert(0, first)
    for name in names[MOST_NAMES:]:
        left_out[name] = f"there are more than {MOST_NAMES:,} files"
    for name in names[:MOST_NAMES]:
        path = folder / name
        if not path.is_file() or (path.is_symlink() and name != first):
            continue
        try:
            with path.open("rb") as file:
                beginning = file.read(_BEGINNING)
                if b"\0" in beginning:
                    continue
                content = beginning + file.read(MOST_FILE_BYTES)
        except OSError as error:
            left_out[name] = f"it cannot be read: {error.strerror}"
            continue
        if len(content) > MOST_FILE_BYTES:
            left_out[name] = f"it is larger than {MOST_FILE_BYTES:,} bytes"
            continue
        yield name, content
    if difference := git(folder, "diff", "HEAD", "--", "."):
        if len(difference) > MOST_FILE_BYTES:
            left_out[DIFFERENCE] = f"it is larger than {MOST_FILE_BYTES:,} bytes"
        else:
            yield DIFFERENCE, difference


def _names(folder: Path) -> set[str]:
    """The files that git does not ignore; without git, the Python files of folders not hidden."""
    listing = ["ls-files", "-z", "--others", "--exclude-standard"]
    listed = git(folder, *listing, "--cached")
    if listed is None:
        listed = _names_without_repository(folder, listing)
    if listed is not None:
        # A name that is not UTF-8 could not be shown.
        return {name.decode("utf-8", "ignore") for name in listed.split(b"\0") if name}
    paths = (path.relative_to(folder) for path in folder.rglob("*.py"))
    return {
        path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts)
    }


def _names_without_repository(folder: Path, listing: list[str]) -> bytes | None:
    """By the rules of .gitignore, also where there is no repository."""
    with tempfile.TemporaryDirectory() as empty:
        if git(Path(empty), "init", "-q") is None:
            return None
        return git(folder, f"--git-dir={empty}/.git", f"--work-tree={folder.resolve()}", *listing)


def git(folder: Path, *arguments: str) -> bytes | None:
    """What git answers; None without git, without a repository, or after 30 seconds."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            check=False,
            timeout=_GIT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
