"""The consumers of docs/subscriber, run as whoever copies them out would run them."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.settings import load_settings
from tests.system.system import eventually

GUIDES = Path(__file__).parents[2] / "docs" / "subscriber"
OURS = re.compile(
    r"^\s*(?:from|import) (?:domain|application|projections|adapters|api|cli|stemma_client)\b",
    re.MULTILINE,
)


def example(library: str) -> str:
    """The one whole program of the guides that imports this library."""
    text = "\n".join(guide.read_text() for guide in sorted(GUIDES.glob("*.md")))
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (found,) = [block for block in blocks if re.search(rf"^import {library}$", block, re.MULTILINE)]
    assert not OURS.search(found), "it uses none of our code"
    return str(found)


class Consumer:
    """A running consumer and what it has printed."""

    def __init__(self, folder: Path, library: str) -> None:
        self._printed = folder / "printed"
        self._errors = folder / "errors"
        self._library = library

    def seen(self) -> list[tuple[int, str, str]]:
        """Position, name and subject of each event."""
        lines = [line.split() for line in self._printed.read_text().splitlines()]
        return [(int(position), name, subject) for position, name, subject in lines]

    def wait_for(self, position: int) -> list[tuple[int, str, str]]:
        """What it has seen, once it has seen the event at this position."""
        what = f"the consumer of {self._library} sees position {position}"
        try:
            eventually(lambda: any(one[0] >= position for one in self.seen()), what)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self._errors.read_text()}") from error
        return self.seen()


@contextmanager
def consumer(data: Path, library: str, folder: Path) -> Iterator[Consumer]:
    """The guide's program, beside the `stemma up` that runs on a data folder."""
    folder.mkdir()
    (folder / "follow.py").write_text(example(library))
    settings = load_settings({"STEMMA_DATA": str(data)})
    environment = settings.environment() | {"STEMMA_API_KEY": settings.api_key or "none"}
    with (folder / "printed").open("wb") as out, (folder / "errors").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-I", "-u", "follow.py"],
            cwd=folder,
            env=dict(os.environ) | environment,
            stdout=out,
            stderr=errors,
        )
    try:
        yield Consumer(folder, library)
    finally:
        process.kill()
        process.wait()
