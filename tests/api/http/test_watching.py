"""Each request has one id, in its answer, its lines of log and its trace; and it is counted."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from adapters.observability import logs, tracing
from api.app import create_app
from api.http.counters import outcome_of
from domain.trace_context import span_id_of, trace_id_of
from tests.api.conftest import settings_at
from tests.api.scene import Scene
from tests.servers import Database
from tests.system.collector import Collector, collecting
from tests.waiting import HANG_SECONDS

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CALLER = {"traceparent": f"00-{TRACE}-{SPAN}-01"}


def create(site: Scene, headers: dict[str, str], name: str = "Digits") -> Any:
    return site.http.post("/api/v1/projects", json={"name": name}, headers=headers)


def correlation_in_the_log(site: Scene) -> str:
    (last,) = site.store.read(site.store.head() - 1)
    return last.metadata.correlation_id


@pytest.mark.parametrize(
    ("headers", "correlation"),
    [
        ({"Correlation-Id": "ticket 7"}, "ticket 7"),
        (CALLER, TRACE),
        ({"Correlation-Id": "ticket 8", **CALLER}, "ticket 8"),
        ({"Idempotency-Key": "once"}, "once"),
        ({"traceparent": "none of ours", "Idempotency-Key": "twice"}, "twice"),
    ],
)
def test_the_callers_id_is_the_events_and_the_answers(
    site: Scene, headers: dict[str, str], correlation: str
) -> None:
    answer = create(site, headers)
    assert answer.headers["Correlation-Id"] == correlation
    assert correlation_in_the_log(site) == correlation


def test_without_any_each_request_has_an_id_of_its_own(site: Scene) -> None:
    first = create(site, {}).headers["Correlation-Id"]
    second = create(site, {}).headers["Correlation-Id"]
    assert first != second == correlation_in_the_log(site)


def test_an_id_that_is_too_long_is_refused(site: Scene) -> None:
    answer = create(site, {"Correlation-Id": "x" * 201})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "Correlation-Id"
    assert len(answer.headers["Correlation-Id"]) < 50


@pytest.fixture
def lines(site: Scene) -> Iterator[io.StringIO]:
    """What the API writes, as JSON; only while the site runs."""
    assert site
    stream = io.StringIO()
    handler, root = logs.handler("api", logs.JSON, stream), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def test_lines_of_log_have_the_requests_ids(site: Scene, lines: io.StringIO) -> None:
    create(site, {"Correlation-Id": "ticket 9"})
    # From a thread that handles the request: PostgreSQL has no text with NUL.
    site.http.get("/api/v1/projects/%00", headers={"Correlation-Id": "ticket 10"})
    found = [json.loads(line) for line in lines.getvalue().splitlines()]
    told = {one["event"].split(" in ")[0]: one for one in found if one["logger"].startswith("api.")}
    command = told["POST /api/v1/projects: 201"]
    assert (command["correlation_id"], command["trace_id"]) == ("ticket 9", trace_id_of("ticket 9"))
    (other,) = [one for event, one in told.items() if event.startswith("refused by the database")]
    assert (other["correlation_id"], other["part"]) == ("ticket 10", "api")


@pytest.fixture
def collector(site: Scene, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """What the site records while there is one; complete after `tracing.end()`."""
    assert site
    with collecting() as made:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{made.url}/v1/traces")
        tracing.set_up("test")
        yield made
        tracing.end()


def test_the_trace_is_that_of_the_caller(site: Scene, collector: Collector) -> None:
    create(site, CALLER)
    (event,) = site.store.read(site.store.head() - 1)
    tracing.end()
    (request,) = collector.named("POST /api/v1/projects")
    (created,) = collector.named("project.created")
    assert (request.trace_id, request.parent) == (TRACE, SPAN)
    assert (created.trace_id, created.parent) == (TRACE, request.span_id)
    assert created.span_id == span_id_of(event.metadata.event_id)


def test_a_command_of_many_events_has_few_spans(site: Scene, collector: Collector) -> None:
    site.images(site.project(), 50)
    tracing.end()
    spans = collector.named("image.added")
    assert len(spans) == 20
    assert {span.parent for span in spans} == {
        span.span_id for span in collector.named("POST /api/v1/projects/{project_id}/images")
    }


def counted(site: Scene, name: str) -> dict[tuple[str, ...], float]:
    """The samples of a metric by their labels' values, in the order of the labels' names."""
    answer = site.http.get("/metrics").raise_for_status()
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name == name
    }


def test_requests_and_commands_are_counted(site: Scene) -> None:
    def seen() -> list[float]:
        requests = counted(site, "stemma_http_requests_total")
        seconds = counted(site, "stemma_http_request_seconds_count")
        commands = counted(site, "stemma_commands_total")
        return [
            requests.get(("POST", "/api/v1/projects", "201"), 0),
            requests.get(("POST", "/api/v1/projects", "422"), 0),
            requests.get(("GET", "/api/v1/projects/{project_id}", "404"), 0),
            seconds.get(("POST", "/api/v1/projects"), 0),
            commands.get(("create_project", "ok"), 0),
            commands.get(("create_project", "invalid"), 0),
            commands.get(("rename_project", "not_found"), 0),
        ]

    before = seen()
    create(site, {})
    create(site, {})
    create(site, {}, name="")
    for unknown in ("a", "b", "c"):
        site.http.get(f"/api/v1/projects/{unknown}")
    site.http.patch("/api/v1/projects/none", json={"name": "x"})
    after = seen()
    grown = [now - then for now, then in zip(after, before, strict=True)]
    assert grown == [2, 1, 3, 3, 2, 1, 1]


@pytest.mark.parametrize("path", ["/api/v1/projects", "/metrics"])
def test_who_is_not_let_in_is_counted_under_an_id_too(site: Scene, path: str) -> None:
    before = counted(site, "stemma_http_requests_total").get(("GET", path, "401"), 0)
    refused = httpx.get(
        f"{site.url}{path}", headers={"Correlation-Id": "ticket 11"}, timeout=HANG_SECONDS
    )
    assert (refused.status_code, refused.headers["Correlation-Id"]) == (401, "ticket 11")
    assert counted(site, "stemma_http_requests_total")["GET", path, "401"] == before + 1


def test_the_application_leaves_the_logs_as_the_process_has_set_them_up(tmp_path: Path) -> None:
    root = logging.getLogger()
    before = list(root.handlers)
    create_app(settings_at(Database("", "postgresql://nowhere", "postgresql://nowhere"), tmp_path))
    assert root.handlers == before


def test_labels_name_no_thing_of_a_users(site: Scene) -> None:
    project_id, _ = site.trainable()
    site.visible()
    site.http.get(f"/api/v1/projects/{project_id}").raise_for_status()
    assert project_id not in site.http.get("/metrics").text


def test_outcomes_are_few() -> None:
    found = {outcome_of(status) for status in range(600)}
    assert {"ok", "invalid", "conflict", "denied", "error", "aborted"} <= found
    assert len(found) <= 13
