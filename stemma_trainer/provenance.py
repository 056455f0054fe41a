"""What a trainer declares of its code: nobody checks it, and the page says so."""

import hashlib
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_LOCKS = ("uv.lock", "poetry.lock", "requirements.lock", "requirements.txt")


def declare(name: str, code: Path, packages: tuple[str, ...]) -> dict[str, str]:
    """The code's digest, the commit of its repository and what differs from it, the digest of a
    lock file, the command, and the versions of packages."""
    declared = {
        "trainer": name,
        "trainer code": code_digest(code),
        "command": " ".join(sys.orig_argv)[:1000],
        "python": platform.python_version(),
    }
    if commit := _git(code, "rev-parse", "HEAD"):
        declared["git commit"] = commit.decode().strip()
        difference = _git(code, "diff", "HEAD") or b""
        digest = hashlib.sha256(difference).hexdigest() if difference else "none"
        declared["git difference"] = digest
    for lock in _LOCKS:
        if (code / lock).is_file():
            declared[lock] = hashlib.sha256((code / lock).read_bytes()).hexdigest()
            break
    for package in ("stemma-trainer", *packages):
        try:
            declared[package] = version(package)
        except PackageNotFoundError:
            continue
    return declared


def code_digest(code: Path) -> str:
    """The sha256 over the names and contents of the Python files of a folder, in order."""
    digest = hashlib.sha256()
    for path in sorted(code.rglob("*.py")):
        if any(part.startswith(".") for part in path.relative_to(code).parts):
            continue
        content = path.read_bytes()
        digest.update(f"{path.relative_to(code).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _git(folder: Path, *arguments: str) -> bytes | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
