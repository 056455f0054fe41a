"""Each benchmark runs and finds figures; how good they are is for `make bench` to say."""

import hashlib
import json
import math
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, update

from adapters.blobs.blobs import BlobStore
from benchmarks import registry
from benchmarks.__main__ import main
from benchmarks.dataset import grid
from benchmarks.flip_book.scrub import CHROMIUM
from benchmarks.job_api import serving_jobs
from benchmarks.measurements import Expected, Measurement, Spent, quantile
from benchmarks.peers import mlflow
from benchmarks.registry import BENCHMARKS
from benchmarks.table import as_json, as_markdown
from domain.dataset.image import Annotation, ImageAdded, ImageAnnotated, ImageSplitAssigned
from domain.event import Event, Metadata, Recorded
from projections.dataset.dataset import DATASET
from projections.engine.read_model import positions
from tests.projections.engine.rebuilding import compare
from tests.servers import Database, port_of_its_own


def test_routes_of_jobs_are_served_at_once_or_the_port_is_named(tmp_path: Path) -> None:
    blobs = BlobStore.from_url(tmp_path.as_uri())
    port = port_of_its_own()
    with serving_jobs(blobs, port):
        # The first request is answered: nothing waits for the server any more.
        assert httpx.get(f"http://127.0.0.1:{port}/health/live").is_success
        with pytest.raises(RuntimeError, match=str(port)), serving_jobs(blobs, port):
            pass


@pytest.mark.parametrize("name", BENCHMARKS)
def test_it_finds_figures(name: str) -> None:
    if name in {"scrub", "pages"} and CHROMIUM is None:
        pytest.skip("no Chromium here: run `apt-get install -y chromium-headless-shell`")
    if name in {"peers", "client"} and not mlflow.is_installed():
        pytest.skip("MLflow is not installed: run `make bench ARGS=peers`")
    figures = BENCHMARKS[name](True)
    assert figures
    for figure in figures:
        assert all(math.isfinite(value) for value in (*figure.ours, *figure.theirs, figure.others))
        assert len(figure.theirs) in {0, len(figure.ours)}


def test_a_ratio_is_that_of_the_median_pair() -> None:
    figure = Measurement(what="", unit="s", ours=(1, 9, 4), theirs=(1, 3, 2), others=0)
    assert figure.ratio == 2


class ImportLog:
    """The events whose rows `benchmarks.dataset.grid` makes in SQL, at their positions."""

    def __init__(self, images: int) -> None:
        self.events = [event for number in range(images) for event in self._image(number)]

    def read(
        self, after: int, *, limit: int = 1000, upto: int | None = None, skip: Sequence[str] = ()
    ) -> list[Recorded]:
        last = math.inf if upto is None else upto
        found = [event for event in self.events if after < event.position <= last]
        return [one for one in found if one.event.event_name not in skip][:limit]

    def head(self) -> int:
        return self.events[-1].position

    def _image(self, number: int) -> Iterator[Recorded]:
        blob = hashlib.sha256(b"%d" % number).hexdigest()
        said = (Annotation(grid.concept(number % grid.CONCEPTS)),)
        events: list[Event | None] = [
            ImageAdded(grid.PROJECT, blob, 640, 480, f"image-{number}.png", {"camera": "north"}),
            ImageSplitAssigned("validation")
            if number // grid.CONCEPTS % grid.VALIDATES == 0
            else None,
            ImageAnnotated(grid.VIEW, said, False) if (number + 1) % grid.LEFT else None,
        ]
        key = uuid.UUID(hashlib.md5(b"image %d" % number).hexdigest())
        revision = 0
        for place, event in enumerate(events, start=1):
            if event is not None:
                revision += 1
                metadata = Metadata("e", grid.CHANGED_AT, "user:ada", "command", "correlation")
                position = number * grid.EVENTS_EACH + place
                yield Recorded(f"image-{key}", revision, event, metadata, position)


def test_the_grid_is_measured_on_what_events_leave(migrated: Database, engine: Engine) -> None:
    log = ImportLog(1200)
    grid.fill(migrated.admin_url, 1200)
    with engine.begin() as connection:
        mine = positions.c.read_model == DATASET.name
        reached = log.events[-1].position
        connection.execute(update(positions).where(mine).values(position=reached))
    assert compare(engine, log, DATASET) == []


def test_what_is_measured_is_shown_before_the_next_one_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(_: bool) -> list[Measurement]:
        raise RuntimeError("interrupted")

    figure = Measurement(what="single events", unit="events/s", ours=(90,), others=0)
    monkeypatch.setitem(registry.BENCHMARKS, "append", lambda _: [figure])
    monkeypatch.setitem(registry.BENCHMARKS, "library", fails)
    shown = CliRunner().invoke(main, ["append", "library"], env={"COLUMNS": "200"})
    assert "single events" in shown.output


@pytest.mark.parametrize(
    ("expected", "met"), [(Expected(2), True), (Expected(2, at_least=True), False)]
)
def test_without_an_alternative_the_median_is_what_counts(expected: Expected, met: bool) -> None:
    figure = Measurement(what="", unit="s", ours=(1, 9, 1), expected=expected, others=0)
    assert figure.met is met


def test_a_quantile_is_a_value_that_was_measured() -> None:
    assert quantile([3, 1, 2, 4], 0.5) == 2
    assert quantile([3, 1, 2, 4], 0.99) == 4
    assert quantile([5], 0.5) == 5


def test_the_table_and_the_json_say_what_was_expected() -> None:
    figure = Measurement(
        what="single events",
        unit="events/s",
        ours=(90,),
        alternative="raw saves",
        theirs=(100,),
        expected=Expected(0.9, at_least=True),
        others=0.01,
    )
    row = as_markdown({"append": [figure]}, "a machine").splitlines()[2]
    assert row == (
        "| append | single events | 90 events/s | 100 events/s: raw saves | 0.90x"
        " | ≥ 0.9x: met | 1% |"
    )
    document = json.loads(as_json({"append": [figure]}, "a machine", {"append": Spent(3, 2)}))
    assert document["spent"] == {"append": {"seconds": 3, "cpu_seconds": 2}}
    [found] = document["measurements"]
    assert (found["benchmark"], found["ours"], found["met"]) == ("append", [90], True)


def test_an_absolute_bound_is_one_of_ours() -> None:
    bound = Expected(100, absolute=True)
    figure = Measurement(
        what="", unit="ms", ours=(90,), alternative="", theirs=(10,), expected=bound, others=0
    )
    assert (figure.ratio, figure.met) == (9, True)
    assert "≤ 100 ms: met" in as_markdown({"": [figure]}, "")
