"""Validation of the paths in an archive: inside the folder, each path unique."""

import re
import unicodedata

import msgspec

from domain.errors import Invalid
from domain.text import is_text

_LITTER = {"__MACOSX", ".DS_Store", "Thumbs.db"}
_APPLE_DOUBLE = "._"
"""The prefix of the files in which macOS packs a file's attributes."""
_MAX_PART = 255
"""The most bytes of a file name on Linux's file systems."""


class ArchiveLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of an archive. `max_ratio` is the ratio of all unpacked to all packed bytes."""

    max_members: int = 200_000
    max_total_bytes: int = 50_000_000_000
    max_file_bytes: int = 2_000_000_000
    max_ratio: float = 200.0
    max_path: int = 1000
    max_depth: int = 32


class MemberPaths:
    """The paths of an archive's members so far.

    Paths that differ only in case or in Unicode normalisation count as the same: on some file
    systems the second would overwrite the first.
    """

    def __init__(self, limits: ArchiveLimits) -> None:
        self._limits = limits
        self._taken: dict[str, tuple[str, bool]] = {}

    def take_file(self, member: str) -> str | None:
        """The relative path for a file; None for a file that an operating system created.

        Raises `Invalid` for a path outside the folder, a duplicate, or one too long or too deep.
        """
        parts = self._parts(member)
        if not parts:
            raise refused(member, "names no file; give it a name")
        if _is_litter(parts):
            return None
        self._take_folders(member, parts[:-1])
        path = "/".join(parts)
        if _folded(path) in self._taken:
            raise self._clash(member, path)
        self._taken[_folded(path)] = path, True
        return path

    def take_folder(self, member: str) -> None:
        """Validate a folder, which is only created for its files. Raises as `take_file`."""
        parts = self._parts(member)
        if not _is_litter(parts):
            self._take_folders(member, parts)

    def _take_folders(self, member: str, parts: list[str]) -> None:
        for depth in range(1, len(parts) + 1):
            path = "/".join(parts[:depth])
            if self._taken.setdefault(_folded(path), (path, False)) != (path, False):
                raise self._clash(member, path)

    def _clash(self, member: str, path: str) -> Invalid:
        other, is_file = self._taken[_folded(path)]
        if other != path:
            return refused(
                member, f"differs from {other!r} only in case or Unicode form; rename one"
            )
        if is_file:
            return refused(member, f"appears twice, or {other!r} is both file and folder; keep one")
        return refused(member, f"{other!r} is both file and folder; keep one")

    def _parts(self, member: str) -> list[str]:
        if not is_text(member):
            raise refused(member, "has unprintable characters in its name; rename it")
        if len(member) > self._limits.max_path:
            raise refused(member, f"has a path longer than {self._limits.max_path}; shorten it")
        if "\\" in member:
            raise refused(member, "has a backslash in its path; pack with forward slashes")
        if member.startswith("/"):
            raise refused(member, "has an absolute path; pack with paths relative to the folder")
        parts = [part for part in member.split("/") if part not in {"", "."}]
        if ".." in parts:
            raise refused(member, "leads outside the folder; pack without `..`")
        if any(re.match("[A-Za-z]:", part) for part in parts):
            raise refused(member, "has a drive letter; pack with paths relative to the folder")
        if any(len(part.encode()) > _MAX_PART for part in parts):
            raise refused(member, f"has a name longer than {_MAX_PART} bytes; shorten it")
        if len(parts) > self._limits.max_depth:
            raise refused(
                member, f"is nested deeper than {self._limits.max_depth} folders; move it up"
            )
        return parts


def refused(member: str, reason: str) -> Invalid:
    name = member if len(member) <= 100 else f"{member[:100]}…"
    return Invalid(f"{name!r} in the archive {reason}", field="archive")


def _is_litter(parts: list[str]) -> bool:
    return any(part in _LITTER or part.startswith(_APPLE_DOUBLE) for part in parts)


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
