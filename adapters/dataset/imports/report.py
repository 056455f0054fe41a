"""The report on a source's problems, in a file because it can be large."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from adapters.blobs.blobs import BlobStore
from adapters.formats.items import Note, Problem
from domain.dataset.imports import ImportProblem


class ReportLine(msgspec.Struct, frozen=True):
    """A line of the report: a `problem`, or a `note` on content that is left out."""

    kind: str
    where: str
    text: str


class ProblemReport:
    """Problems and notes in the order of the source."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.problems = 0
        self.notes = 0

    def add(self, item: Problem | Note) -> None:
        if isinstance(item, Problem):
            self.problems += 1
            line = ReportLine("problem", item.where, item.reason)
        else:
            self.notes += 1
            line = ReportLine("note", item.where, item.text)
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")

    def first(self, number: int) -> Iterator[ImportProblem]:
        """The first problems, in the form of an event."""
        for line in self._lines():
            if line.kind == "problem" and number > 0:
                number -= 1
                yield ImportProblem(line.where, line.text)

    def store(self, blobs: BlobStore) -> str | None:
        """Store the report as JSON lines. Returns its sha256, or None if it is empty."""
        if not self._path.exists():
            return None
        digest = blobs.put_file(self._path)
        blobs.flush()
        return digest

    def _lines(self) -> Iterator[ReportLine]:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            for line in file:
                yield msgspec.json.decode(line, type=ReportLine)
