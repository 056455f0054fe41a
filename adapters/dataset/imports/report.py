"""The report on a source's problems, in a file because it can be large."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from adapters.blobs.blobs import BlobStore
from adapters.formats.items import LeftOut, Note, Problem
from domain.dataset.imports import ImportProblem, ImportRemark

MOST_TEXTS = 50


class ReportLine(msgspec.Struct, frozen=True):
    """A line of the report: a `problem`, an image that is `left_out`, or a `note` on how the source
    was read."""

    kind: str
    where: str
    text: str


class ProblemReport:
    """Problems, images that are left out, and notes, in the order of the source.

    Those that are no problems are counted by their text, so that one number stands for many.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._counts: Counter[str] = Counter()
        self.problems = 0
        self.left_out = 0
        self.notes = 0

    def add(self, item: Problem | Note | LeftOut) -> None:
        match item:
            case Problem():
                self.problems += 1
                line = ReportLine("problem", item.where, item.reason)
            case LeftOut():
                self.left_out += 1
                self._count(item.reason)
                line = ReportLine("left_out", item.where, item.reason)
            case Note():
                self.notes += 1
                self._count(item.text)
                line = ReportLine("note", item.where, item.text)
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")

    def _count(self, text: str) -> None:
        # Texts can name what a source holds, so their number is bounded, too.
        if text in self._counts or len(self._counts) < MOST_TEXTS:
            self._counts[text] += 1

    def summary(self) -> tuple[ImportRemark, ...]:
        """How many images and notes each text is about, in the order of their first."""
        return tuple(ImportRemark(text, count) for text, count in self._counts.items())

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
