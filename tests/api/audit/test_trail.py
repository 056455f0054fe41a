"""The trail by the API: every filter, every order, every format, and correlations as trees."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import psycopg
import pyarrow.parquet as pq
import pytest

from adapters.audit.trail_files import ROW_GROUP, parquet_pieces
from application.handle import Request, handle
from application.training.ingest import Delivered, Ingest
from domain.aggregates import VERSION
from domain.audit.trail import Line
from domain.training.manifest import ManifestCounts
from domain.training.messages import AnyReport, Failed, Report, Started, StepAdvanced
from domain.training.version import FreezeDataset
from tests.api.scene import Scene

OWNERS = ("project", "view", "model", "version")


class Told:
    """Two projects with everything done to them, one with a finished training and a failed one."""

    def __init__(self, site: Scene) -> None:
        self.site = site
        self.project, self.view = site.trainable("Zoo")
        self.version = site.version(self.view)
        site.begin(self.version)
        for number in (1, 2):
            site.epoch(self.version, number)
        site.finish(self.version)
        self.failed = site.version(self.view)
        site.begin(self.failed)
        site.report(self.failed, Failed("the disk is full"))
        site.post(f"/versions/{self.failed}/retry", None)
        site.report(self.failed, Failed("it still is"), attempt=2)
        self.other, _ = site.trainable("Farm", images=4)
        concept = site.http.get(f"/api/v1/views/{self.view}").json()["view"]["concepts"][0]
        self.patch(f"/views/{self.view}/concepts/{concept['concept_id']}", label="naught")
        self.patch(f"/projects/{self.project}", name="Menagerie")
        self.head = site.visible()
        self.lines = self.every(order="oldest")

    def patch(self, path: str, **content: str) -> None:
        answer = self.site.person("ada").patch(f"/api/v1{path}", json=content)
        assert answer.is_success, answer.text

    def page(self, **asked: Any) -> dict[str, Any]:
        answer = self.site.http.get("/api/v1/audit/trail", params=asked)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def every(self, limit: int = 500, **asked: Any) -> list[dict[str, Any]]:
        """All lines, page by page."""
        page = self.page(limit=limit, **asked)
        lines = list(page["items"])
        while page["next"]:
            page = self.page(limit=limit, cursor=page["next"], **asked)
            lines += page["items"]
        return lines

    def export(self, form: str, **asked: Any) -> bytes:
        answer = self.site.http.get("/api/v1/audit/trail/export", params={"format": form, **asked})
        assert answer.is_success, answer.text
        return answer.content

    def refused(self, **asked: Any) -> dict[str, Any]:
        answer = self.site.http.get("/api/v1/audit/trail", params=asked)
        assert answer.status_code == 422, answer.text
        (error,) = answer.json()["errors"]
        return dict(error)


@pytest.fixture(scope="module")
def told(site: Scene) -> Told:
    return Told(site)


def test_every_event_is_a_line_in_the_order_of_the_log(told: Told) -> None:
    assert [one["position"] for one in told.lines] == list(range(1, told.head + 1))
    assert told.every(order="newest") == told.lines[::-1]
    assert told.page()["items"][0]["position"] == told.head
    assert told.page()["position"] == told.head


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_small_pages_are_cut_from_the_same_lines(told: Told, order: str) -> None:
    """What was before an event does not depend on which others its page has."""
    whole = told.lines if order == "oldest" else told.lines[::-1]
    assert told.every(limit=7, order=order) == whole
    assert told.page(limit=7, order=order)["next"] == str(whole[6]["position"])
    assert told.page(limit=500, order=order)["next"] is None


@pytest.mark.parametrize("owner", OWNERS)
def test_a_line_is_found_by_all_that_it_belongs_to(told: Told, owner: str) -> None:
    """The index and the lines, made in different ways, agree on every event."""
    held = {one[f"{owner}_id"] for one in told.lines} - {None}
    assert len(held) == 2 or owner == "version"
    for value in held:
        expected = [one for one in told.lines if one[f"{owner}_id"] == value]
        assert told.every(limit=50, order="oldest", **{owner: value}) == expected


@pytest.mark.parametrize("field", ["actor", "event", "stream"])
def test_a_line_is_found_by_who_what_and_where(told: Told, field: str) -> None:
    for value in {one[field] for one in told.lines}:
        expected = [one for one in told.lines if one[field] == value][::-1]
        assert told.every(limit=11, **{field: value}) == expected


def test_filters_together_are_all_met(told: Told) -> None:
    def annotated(one: dict[str, Any]) -> bool:
        return bool(one["event"] == "image.annotated" and one["view_id"] == told.view)

    found = told.every(limit=3, event="image.annotated", view=told.view, actor="administrator")
    assert found == [one for one in told.lines if annotated(one)][::-1] != []
    stream = found[0]["stream"]
    assert told.every(stream=stream, view=told.view) == [
        one for one in found if one["stream"] == stream
    ]
    assert told.every(stream=stream, version=told.version) == []
    assert told.every(event="image.annotated", version=told.version) == []


@pytest.mark.parametrize("more", [{}, {"actor": "administrator"}, {"stream": True}])
def test_a_time_range_takes_its_beginning_and_not_its_end(told: Told, more: dict[str, Any]) -> None:
    asked = more | ({"stream": f"version-{told.version}"} if "stream" in more else {})
    lines = told.every(order="oldest", **asked)
    since, until = lines[3]["occurred_at"], lines[-2]["occurred_at"]
    expected = [one for one in lines if since <= one["occurred_at"] < until]
    assert told.every(limit=5, order="oldest", since=since, until=until, **asked) == expected
    assert told.every(since="2001-01-01", until="2001-01-02", **asked) == []


def test_lines_say_what_was_before(told: Told) -> None:
    words = [f"{one['what']}: {one['before']} → {one['after']}" for one in told.lines]
    for wanted in (
        "project 'Zoo' renamed: Zoo → Menagerie",
        "concept of view 'Which digit' renamed: zero → naught",
        "image 0.png annotated in view 'Which digit': nothing → zero",
        "version 1 training started on cuda:0 NVIDIA H100 by gpu-1, attempt 1: queued → preparing",
        "version 1 training completed after 40 iterations, ended by its length: evaluating → ready",
        "version 2 training failed (the disk is full): training → failed",
        "version 2 retried, attempt 2: failed → queued",
        "version 2 training failed (it still is): queued → failed",
    ):
        assert wanted in words


@pytest.mark.parametrize(
    ("asked", "field", "says"),
    [
        ({"event": "version.made"}, "event", "version.created"),
        ({"since": "yesterday"}, "since", "2026-03-04T05:06:07Z"),
        ({"until": "13"}, "until", "time"),
        ({"project": "x"}, "project", "no project 'x'"),
        ({"view": "x"}, "view", "no view 'x'"),
        ({"model": "x"}, "model", "no model 'x'"),
        ({"version": "x"}, "version", "no version 'x'"),
        ({"cursor": "x"}, "cursor", "next"),
        ({"order": "x"}, "order", "'x'"),
        ({"limit": 0}, "limit", "1"),
    ],
)
def test_what_is_wrong_is_named(told: Told, asked: dict[str, Any], field: str, says: str) -> None:
    error = told.refused(**asked)
    assert error["field"] == field
    assert says in error["detail"]


def test_json_lines_are_the_lines(told: Told) -> None:
    found = told.export("jsonl", order="oldest").splitlines()
    assert [msgspec.json.decode(one) for one in found] == told.lines
    found = told.export("jsonl", version=told.version).splitlines()
    assert [msgspec.json.decode(one) for one in found] == told.every(version=told.version)


def test_csv_is_the_lines_and_no_cell_a_formula(told: Told) -> None:
    told.site.post("/projects", {"name": "=1+1"})
    told.site.visible()
    rows = list(csv.DictReader(io.StringIO(told.export("csv", order="oldest").decode())))
    assert [int(row["position"]) for row in rows[: told.head]] == [
        one["position"] for one in told.lines
    ]
    assert [row["what"] for row in rows[: told.head]] == [one["what"] for one in told.lines]
    project = rows[-1]["project_id"]
    told.patch(f"/projects/{project}", name="=2+2")
    told.site.visible()
    (row,) = csv.DictReader(
        io.StringIO(told.export("csv", event="project.renamed", project=project).decode())
    )
    assert (row["before"], row["after"]) == ("'=1+1", "'=2+2")


def test_parquet_is_the_lines(told: Told) -> None:
    table = pq.read_table(io.BytesIO(told.export("parquet", order="oldest")))
    lines = [msgspec.convert(one, Line) for one in told.lines]
    found = table.slice(0, told.head).to_pylist()
    assert [msgspec.convert(row, Line) for row in found] == lines


def test_parquet_comes_in_row_groups_as_it_is_made(told: Told) -> None:
    """A row group is handed on before the lines of the next one are asked for."""
    line = msgspec.convert(told.lines[0], Line)
    asked = 0

    def lines() -> Iterator[Line]:
        nonlocal asked
        for _ in range(2 * ROW_GROUP):
            asked += 1
            yield line

    pieces = parquet_pieces(lines())
    first = next(pieces)
    assert asked == ROW_GROUP
    whole = pq.ParquetFile(io.BytesIO(b"".join([first, *pieces])))
    assert whole.metadata.num_row_groups == 2
    assert whole.metadata.num_rows == 2 * ROW_GROUP


def test_an_export_is_of_one_moment(told: Told) -> None:
    """What is added while it streams is not in it: it ends at the position that it names."""
    with told.site.http.stream(
        "GET", "/api/v1/audit/trail/export", params={"format": "jsonl", "order": "oldest"}
    ) as answer:
        position = int(answer.headers["Stemma-Position"])
        told.site.project("Later")
        told.site.visible()
        lines = [msgspec.json.decode(one) for one in answer.iter_lines()]
    assert [one["position"] for one in lines] == list(range(1, position + 1))


def tree(told: Told, correlation: str, **asked: Any) -> dict[str, Any]:
    answer = told.site.http.get(f"/api/v1/audit/correlations/{correlation}", params=asked)
    assert answer.is_success, answer.text
    found: dict[str, Any] = answer.json()
    return found


def outline(found: dict[str, Any]) -> list[str]:
    return [
        "  " * one["depth"] + (one["line"]["event"] if one["line"] else one["kind"])
        for one in found["nodes"]
    ]


def test_a_training_is_a_tree_from_request_to_reports(told: Told) -> None:
    site = told.site
    version = site.version(told.view)
    created = site.store.streams([f"version-{version}"])[f"version-{version}"][0]
    correlation = created.metadata.correlation_id
    policy(site, version, created.metadata.event_id, correlation)
    worker(site, version, correlation)
    found = tree(told, correlation)
    assert outline(found) == [
        "request",
        "  model.version_numbered",
        "  version.created",
        "    policy",
        "      version.dataset_frozen",
        "        job",
        "          report",
        "            version.training_started",
        "          report",
        "            version.training_step_advanced",
    ]
    assert found["events"] == found["shown"] == 5
    known: set[str] = set()
    for node in found["nodes"]:
        assert (node["parent"] in known) == (node["depth"] > 0)
        known.add(node["id"])


def policy(site: Scene, version: str, cause: str, correlation: str) -> None:
    request = Request(
        actor="policy",
        command_id=f"freeze:{version}",
        correlation_id=correlation,
        causation_id=cause,
    )
    command = FreezeDataset("ab" * 32, ManifestCounts(train=6, validation=4, per_concept={}))
    handle(site.store, request, lambda s: s.decide(VERSION, version, command))


def worker(site: Scene, version: str, correlation: str) -> None:
    bodies: tuple[AnyReport, ...] = (
        Started("gpu-1", "cpu", {}, 0),
        StepAdvanced("preparing", "running", 0.0),
    )
    reports = [
        Report(version, 1, 1, number, datetime.now(UTC), "gpu-1", correlation, body)
        for number, body in enumerate(bodies, start=1)
    ]
    messages = [
        Delivered(number, msgspec.json.encode(one)) for number, one in enumerate(reports, start=1)
    ]
    Ingest(site.store, f"reports of {version}").take(messages)


def test_a_tree_says_how_much_of_it_is_shown(told: Told) -> None:
    correlation = told.every(event="image.added", project=told.project)[0]["correlation_id"]
    found = tree(told, correlation, limit=4)
    assert (found["events"], found["shown"]) == (10, 4)
    assert outline(found) == ["request", *["  image.added"] * 4]


def test_a_correlation_that_is_not_there(told: Told) -> None:
    answer = told.site.http.get("/api/v1/audit/correlations/none")
    assert answer.status_code == 404


def test_a_correlation_is_found_by_key(told: Told) -> None:
    with psycopg.connect(told.site.settings.require("database_url")) as connection:
        connection.execute("SET enable_seqscan = off")
        plan = connection.execute(
            "EXPLAIN SELECT * FROM log.stemma_events WHERE log.correlation_of(state) = 'x'"
        ).fetchall()
    assert "stemma_events_correlation_idx" in str(plan)
