"""One trace shows a training from the button to the last projection."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from projections.registry import READ_MODELS
from tests.servers import server_folder
from tests.system.collector import Collector, Span, collecting
from tests.system.system import RunningSystem, annotated_digits, eventually, running_system

BUTTON = "POST /api/v1/views/{view_id}/versions"
EPOCHS = 2
OPTIONS = {
    "architecture": "mobilenet_v3_small",
    "width": 32,
    "height": 32,
    "epochs": EPOCHS,
    "seed": 3,
}
END = "version.training_completed"
SHOWS_IT = "project models_library"
EVERYWHERE = {"relay", f"experiments: {END}"} | {
    f"project {one.name}" for one in READ_MODELS if END.startswith(one.names)
}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as made:
        yield made


@pytest.fixture(scope="module")
def system(initialised: Path, collector: Collector) -> Iterator[RunningSystem]:
    with (
        pytest.MonkeyPatch.context() as patch,
        server_folder(initialised) as folder,
    ):
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
        with running_system(Path(folder), separate=True) as started:
            yield started


@pytest.fixture(scope="module")
def trace(system: RunningSystem, collector: Collector) -> dict[str, Span]:
    """The trace of a training that has been carried out."""
    with system.client() as client:
        view_id = annotated_digits(client, 20)
    # The requests of one client have one correlation id, hence one trace.
    with system.client() as client:
        version_id = client.command(f"views/{view_id}/versions", {"options": OPTIONS})["id"]
    with system.client() as client:
        for _ in client.follow(f"versions/{version_id}/events"):
            pass
        assert client.query(f"versions/{version_id}")["version"]["status"] == "ready"
    (root,) = eventually(lambda: collector.named(BUTTON), "the request's span has come")
    found: dict[str, Span] = eventually(
        lambda: _whole(collector.trace(root.trace_id)), "every part has sent its spans"
    )
    return found


def test_all_spans_hang_on_the_request(trace: dict[str, Span]) -> None:
    assert [span.name for span in trace.values() if span.parent not in trace] == [BUTTON]


def test_the_way_from_the_button_to_the_projection_that_shows_it_ready(
    trace: dict[str, Span],
) -> None:
    (shown,) = [span for span in _ends(trace) if span.name.startswith(SHOWS_IT)]
    way = [shown]
    while way[-1].parent:
        way.append(trace[way[-1].parent])
    assert [(span.part, span.name) for span in reversed(way)] == [
        ("api", BUTTON),
        ("api", "version.created"),
        ("policies", "policies: version.created"),
        ("policies", "version.dataset_frozen"),
        ("policies", "policies: version.dataset_frozen"),
        ("policies", "send job"),
        ("worker", "train"),
        ("ingest", "ingest"),
        ("ingest", "version.result_reported"),
        ("results", "results: version.result_reported"),
        ("results", END),
        ("project", shown.name),
    ]


def test_the_training_is_told_in_steps_and_epochs(trace: dict[str, Span]) -> None:
    (job,) = [span for span in trace.values() if span.name == "train"]
    within = [span.name for span in trace.values() if span.parent == job.span_id]
    assert within.count("epoch") == EPOCHS
    assert {"preparing", "training", "evaluating", "saving", "save checkpoint"} <= set(within)
    (training,) = [span for span in trace.values() if span.name == "training"]
    epochs = sum(span.seconds for span in trace.values() if span.name == "epoch")
    assert 0 < epochs <= training.seconds <= job.seconds


def test_the_end_is_published_and_projected_everywhere(trace: dict[str, Span]) -> None:
    assert {span.name for span in _ends(trace)} == EVERYWHERE


def test_metrics_have_no_spans_of_their_own(trace: dict[str, Span]) -> None:
    for metrics in ("batch_metrics", "epoch_items"):
        assert not [span for span in trace.values() if metrics in span.name + span.event]
    # The start, the length, the best once more, the evaluation, the end; and of each epoch two.
    reports = [span for span in trace.values() if span.name == "ingest"]
    assert len(reports) <= 5 + 2 * EPOCHS


def _ends(trace: dict[str, Span]) -> list[Span]:
    """The spans of what was done with the training's last event."""
    ends = {one.span_id for one in trace.values() if one.name == END}
    return [span for span in trace.values() if span.parent in ends]


def _whole(trace: dict[str, Span]) -> dict[str, Span] | None:
    """The trace, once it has come to its end and no parent is missing."""
    ended = {span.name for span in _ends(trace)} >= EVERYWHERE
    known = all(span.parent in trace for span in trace.values() if span.parent)
    return trace if ended and known else None
