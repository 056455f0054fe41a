"""The past over HTTP: by position and by time, what is refused, and what the reply says."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from cli.main import main
from domain.aggregates import VERSION
from domain.event import Event, Recorded
from domain.training.version import (
    BatchMetricsRecorded,
    EpochMetricsRecorded,
    VersionTrainingCompleted,
)
from tests.api.scene import Scene


def get(site: Scene, path: str, **parameters: object) -> Any:
    response = site.http.get(f"/api/v1{path}", params={k: str(v) for k, v in parameters.items()})
    assert response.is_success, response.text
    return response.json()


def last(site: Scene, version_id: str, kind: type[Event]) -> Recorded:
    """The last event of its kind of a version."""
    events = site.store.streams([VERSION.stream(version_id)])[VERSION.stream(version_id)]
    [*_, found] = [one for one in events if isinstance(one.event, kind)]
    [recorded] = [one for one in site.store.read_all() if one.metadata == found.metadata]
    return recorded


@pytest.fixture(scope="module")
def trained(site: Scene) -> tuple[str, str, str]:
    """A project, its view, and a version that is trained, renamed and archived."""
    project_id, view_id = site.trainable()
    version_id = site.version(view_id)
    site.begin(version_id)
    site.epoch(version_id, 1)
    site.finish(version_id)
    site.http.patch(f"/api/v1/versions/{version_id}", json={"name": "Best"}).raise_for_status()
    site.http.delete(f"/api/v1/versions/{version_id}").raise_for_status()
    site.visible()
    return project_id, view_id, version_id


def test_a_past_state_is_what_the_reply_was_then(site: Scene) -> None:
    project_id, view_id = site.trainable("Then and now")
    paths = (
        "/projects",
        f"/projects/{project_id}",
        f"/projects/{project_id}/dataset",
        f"/projects/{project_id}/images?view_id={view_id}",
        f"/projects/{project_id}/views",
        f"/views/{view_id}",
        f"/views/{view_id}/models",
        "/versions?archived=true",
    )
    position = site.visible()
    replies = {path: site.http.get(f"/api/v1{path}") for path in paths}
    version_id = site.version(view_id)
    site.begin(version_id)
    site.concepts(view_id, "two")
    site.images(project_id, 12)
    site.post(f"/projects/{project_id}/validation-split", {"size": 0.5, "seed": 2})
    site.visible()
    for path, reply in replies.items():
        mark = "&" if "?" in path else "?"
        again = site.http.get(f"/api/v1{path}{mark}as_of={position}")
        assert again.json() == reply.json(), path
        assert again.headers.get("ETag") == reply.headers.get("ETag")
        assert site.http.get(f"/api/v1{path}").json() != reply.json(), path


def test_a_version_is_shown_as_it_was(site: Scene, trained: tuple[str, str, str]) -> None:
    _, view_id, version_id = trained
    ended = last(site, version_id, VersionTrainingCompleted)
    at = ended.position - 1
    for told in (at, (ended.metadata.occurred_at - timedelta(microseconds=1)).isoformat()):
        version = get(site, f"/versions/{version_id}", as_of=told)
        assert version["position"] == at
        assert version["version"]["name"] == "Version 1"
        assert version["version"]["status"] == "evaluating"
        assert not version["version"]["archived"]
    progress = get(site, f"/versions/{version_id}/progress", as_of=at)["progress"]
    assert (progress["status"], progress["position"]) == ("evaluating", at)
    [listed] = get(site, "/versions", view_id=view_id, as_of=at)["items"]
    assert listed["version_id"] == version_id
    assert get(site, "/versions", view_id=view_id)["items"] == []


def test_metrics_end_where_they_ended_then(site: Scene, trained: tuple[str, str, str]) -> None:
    *_, version_id = trained
    before = last(site, version_id, BatchMetricsRecorded).position - 1
    assert get(site, f"/versions/{version_id}/metrics", as_of=before)["series"] == []
    whole = get(site, f"/versions/{version_id}/metrics", as_of=before + 1)["series"]
    assert [one["metric"] for one in whole] == ["learning_rate", "batch_loss"]


def test_an_image_is_there_as_it_was_with_its_bytes(
    site: Scene, trained: tuple[str, str, str]
) -> None:
    project_id, view_id, _ = trained
    [image, *_] = get(site, f"/projects/{project_id}/images", view_id=view_id, limit=1)["items"]
    site.http.delete(f"/api/v1/images/{image['image_id']}").raise_for_status()
    before = site.visible() - 1
    path = f"/images/{image['image_id']}"
    assert site.http.get(f"/api/v1{path}").status_code == 404
    assert get(site, path, view_id=view_id, as_of=before)["image"] == image
    for part in ("content", "picture", "thumbnail"):
        found = site.http.get(f"/api/v1{path}/{part}", params={"as_of": before})
        assert found.is_success


def test_at_position_0_there_is_nothing(site: Scene, trained: tuple[str, str, str]) -> None:
    _, view_id, version_id = trained
    first = site.store.read(0, limit=1)[0].metadata.occurred_at
    for moment in ("0", (first - timedelta(seconds=1)).isoformat()):
        assert get(site, "/projects", as_of=moment) == {"items": [], "next": None, "position": 0}
        assert get(site, f"/views/{view_id}/models", as_of=moment)["items"] == []
        refused = site.http.get(f"/api/v1/versions/{version_id}", params={"as_of": moment})
        assert refused.status_code == 404


@pytest.mark.usefixtures("trained")
def test_a_time_to_come_is_now(site: Scene) -> None:
    head = site.visible()
    assert get(site, "/projects", as_of="2199-01-01T00:00:00+02:00")["position"] == head


@pytest.mark.parametrize(
    "moment", ["-1", "yesterday", "1.5", "", "2026-01-01", "2026-01-01T00:00:00", "9" * 19, "²"]
)
def test_what_is_no_moment_is_refused(site: Scene, moment: str) -> None:
    refused = site.http.get("/api/v1/projects", params={"as_of": moment})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "as_of"


def test_a_position_that_was_not_reached_is_refused(site: Scene) -> None:
    head = site.visible()
    refused = site.http.get("/api/v1/versions", params={"as_of": head + 1})
    assert refused.status_code == 422
    assert refused.json()["detail"] == f"as_of is {head + 1}, and the log ends at {head}"


@pytest.fixture
def shown(site: Scene, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What `stemma audit as-of` prints."""
    for name, value in site.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> str:
        done = CliRunner().invoke(main, ["audit", "as-of", *(str(one) for one in arguments)])
        assert done.exit_code == 0, done.output
        return done.output

    return run


def test_the_command_line_shows_the_past(
    site: Scene, trained: tuple[str, str, str], shown: Callable[..., str]
) -> None:
    project_id, view_id, version_id = trained
    training = last(site, version_id, EpochMetricsRecorded).position
    told = shown(training, "--view", view_id)
    assert f"as of position {training}\n" in told
    assert "Version 1" in told
    assert "training, " in told
    assert "Best (archived)" in shown(site.visible(), "--view", view_id)
    assert "training, " in shown(training, "--version", version_id)
    assert "stopped" not in shown(training, "--version", version_id)
    of_project = shown(training, "--project", project_id)
    assert "6 / 4" in of_project
    assert "zero" in of_project
    assert project_id not in shown(0)
    assert project_id in shown("2199-01-01T00:00:00Z")


def test_the_command_line_says_what_is_wrong(site: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in site.environment.items():
        monkeypatch.setenv(name, value)
    refused = CliRunner().invoke(main, ["audit", "as-of", "soon"])
    assert refused.exit_code == 1
    assert "as_of must be a position of the log" in refused.output
    refused = CliRunner().invoke(main, ["audit", "as-of", "1", "--view", "v", "--version", "x"])
    assert refused.exit_code == 2
