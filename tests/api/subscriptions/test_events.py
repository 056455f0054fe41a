"""The feed of all events over HTTP: nothing missed, doubled or out of order, however followed."""

import json
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_sse import connect_sse

from adapters.access.sessions import Sessions
from adapters.postgres.postgres import engine_for
from adapters.subscriptions.feed import feed as events_feed
from adapters.subscriptions.feed import tail as events_tail
from api.http import connections
from application.access.first_key import give_key
from application.dataset import projects
from application.log.store import Store
from application.scopes import Scopes
from cli.client import authorization
from domain.dataset.project import ProjectCreated
from tests.api.conftest import serving, settings_at
from tests.api.people import People
from tests.api.scene import KEY, Scene
from tests.application.scenes import at_once, do, recorded
from tests.servers import Database, port_of_its_own
from tests.system.system import eventually
from tests.waiting import HANG_SECONDS

PATH = "/api/v1/events"
WRITERS, EACH = 4, 25
ALL = WRITERS * EACH


def page(site: Scene, **asked: Any) -> Any:
    answer = site.http.get(PATH, params=asked, timeout=HANG_SECONDS)
    assert answer.status_code == 200, answer.text
    return answer.json()


def positions(found: Any) -> list[int]:
    return [int(item["sequence"]) for item in found["items"]]


def head(site: Scene) -> int:
    """Where the log ends, once the feed is there."""
    position = site.store.head()
    page(site, after=position - 1, wait=20)
    return position


def every(site: Scene, after: int, **asked: Any) -> list[int]:
    """The positions of all events that match, page by page, up to the log's end."""
    found: list[int] = []
    while after < (one := page(site, after=after, limit=20, **asked))["position"]:
        found += positions(one)
        assert after < one["next"] <= one["position"]
        after = one["next"]
    return found


@contextmanager
def stream(url: str, **asked: Any) -> Iterator[Iterator[tuple[int, str, Any]]]:
    """What a stream sends: id, name and data of each event."""
    headers = {"Last-Event-ID": str(asked.pop("seen"))} if "seen" in asked else {}
    with (
        httpx.Client(timeout=HANG_SECONDS, headers=authorization(KEY)) as client,
        connect_sse(client, "GET", f"{url}{PATH}/stream", params=asked, headers=headers) as source,
    ):
        yield ((int(e.id), e.event, json.loads(e.data)) for e in source.iter_sse() if e.data)


def write(store: Store, count: int) -> None:
    for number in range(count):
        do(store, partial(projects.create_project, name=f"Project {number}"))


@contextmanager
def writing(store: Store) -> Iterator[None]:
    """Several writers that commit while the block runs."""
    writers = [threading.Thread(target=write, args=(store, EACH)) for _ in range(WRITERS)]
    for writer in writers:
        writer.start()
    yield
    for writer in writers:
        writer.join()


@pytest.fixture(params=[events_tail.KEPT_EVENTS, 3], ids=["tail", "database"])
def kept(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All events are the tail's, or nearly all are read from the database."""
    monkeypatch.setattr(events_tail, "KEPT_EVENTS", request.param)


@pytest.mark.usefixtures("kept")
def test_pages_and_streams_have_every_event_in_order_while_others_write(site: Scene) -> None:
    begun = page(site)["position"]

    def by_page() -> list[int]:
        found: list[int] = []
        while len(found) < ALL:
            found += positions(page(site, after=begun + len(found), limit=7, wait=20))
        return found

    def by_stream() -> list[int]:
        with stream(site.url, after=begun) as sent:
            return [position for position, _, _ in islice(sent, ALL)]

    with writing(site.store):
        paged, streamed = at_once([by_page, by_stream])
    assert paged == streamed == list(range(begun + 1, begun + ALL + 1))


@pytest.mark.usefixtures("kept")
def test_filters_find_what_belongs_to_them_and_nothing_else(site: Scene) -> None:
    begun = page(site)["position"]
    project_id, view_id = site.trainable("Wanted")
    version_id = site.version(view_id)
    site.trainable("Not wanted")
    head(site)
    log = site.store.read(begun)
    model_id = next(one.entity_id for one in log if one.stream.startswith("model-"))
    images = [one.stream for one in log if one.event.event_name == "image.added"]
    mine = {f"project-{project_id}", f"view-{view_id}", f"model-{model_id}", *images[:10]}

    def those(asked: Mapping[str, object]) -> list[int]:
        """Found by page, and the same by stream."""
        found = every(site, begun, **asked)
        with stream(site.url, after=begun, **asked) as sent:
            assert [one for one, _, _ in islice(sent, len(found))] == found
        return found

    def like(*names: str, streams: set[str] | None = None) -> list[int]:
        return [
            one.position
            for one in log
            if one.event.event_name.startswith(names) and (not streams or one.stream in streams)
        ]

    version, model = {f"version-{version_id}"}, {f"model-{model_id}"}
    assert those({"name": "view.*"}) == like("view.")
    assert those({"name": ["image.added", "version.*"]}) == like("image.added", "version.")
    assert those({"subject": f"view-{view_id}"}) == like("", streams={f"view-{view_id}"})
    assert those({"subject": images[:2]}) == like("", streams=set(images[:2]))
    assert those({"project": project_id}) == like("", streams=mine | version)
    assert those({"project": project_id, "name": "view.*"}) == like("view.", streams=mine)
    numbered = like("model.version_numbered", streams=model)
    assert those({"version": version_id}) == sorted(numbered + like("", streams=version))
    registered = like("view.model_registered", streams={f"view-{view_id}"})
    assert those({"model": model_id}) == sorted(registered + like("", streams=model | version))
    annotated = like("image.annotated", streams=mine)
    of_view = like("", streams={f"view-{view_id}"} | model | version)
    assert those({"view": view_id}) == sorted(annotated + of_view)


def test_an_event_is_a_cloud_event_without_what_is_personal(site: Scene) -> None:
    begun = page(site)["position"]
    (image_id,) = site.images(site.project(), 1)
    head(site)
    found = page(site, after=begun, name="image.added")["items"]
    with stream(site.url, after=begun, name="image.added") as sent:
        position, name, data = next(sent)
    assert [data] == found
    assert (name, data["type"], data["subject"]) == ("image.added",) * 2 + (f"image-{image_id}",)
    assert (int(data["sequence"]), data["revision"]) == (position, 1)
    assert (data["data"]["file_name"], data["data"]["metadata"]) == ("[erased]", {})


def test_a_long_poll_is_answered_at_once_or_when_its_time_is_over(site: Scene) -> None:
    begun = page(site)["position"]
    with ThreadPoolExecutor() as pool:
        polled = pool.submit(page, site, after=begun, name="project.*", wait=30)
        with pytest.raises(TimeoutError):
            polled.result(0.3)
        write(site.store, 1)
        assert positions(polled.result(HANG_SECONDS)) == [begun + 1]
    nothing = page(site, after=begun, name="version.*", wait=0.2)
    assert nothing == {"items": [], "next": begun + 1, "position": begun + 1}


@pytest.mark.parametrize("path", [PATH, f"{PATH}/stream"])
@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"after": "soon"}, "after"),
        ({"after": -1}, "after"),
        ({"after": 10**6}, "after"),
        ({"name": "verson.*"}, "name"),
        ({"name": "version"}, "name"),
        ({"name": ["view.*", "*"]}, "name"),
        ({"subject": "4154e738"}, "subject"),
        ({"subject": "verson-4154e738"}, "subject"),
        ({"subject": "version-\0"}, "subject"),
        ({"project": "none"}, "project"),
        ({"view": "none"}, "view"),
        ({"model": ""}, "model"),
        ({"version": "none"}, "version"),
    ],
)
def test_a_bad_parameter_is_named(
    site: Scene, path: str, asked: Mapping[str, Any], field: str
) -> None:
    refused(site.http.get(path, params=asked), field)


@pytest.mark.parametrize(
    ("asked", "field"),
    [({"limit": 0}, "limit"), ({"limit": 1001}, "limit"), ({"wait": 31}, "wait")]
    + [({"wait": wait}, "wait") for wait in ("nan", "inf", -1)],
)
def test_a_bad_page_is_named(site: Scene, asked: Mapping[str, Any], field: str) -> None:
    refused(site.http.get(PATH, params=asked), field)


@pytest.mark.parametrize("seen", ["soon", "-1", "9" * 19, "1000000"])
def test_a_bad_last_event_id_is_named(site: Scene, seen: str) -> None:
    headers = {"Last-Event-ID": seen}
    refused(site.http.get(f"{PATH}/stream", headers=headers), "Last-Event-ID")


def refused(answer: httpx.Response, field: str) -> None:
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_the_openapi_document_tells_of_both(site: Scene) -> None:
    document = site.http.get("/schema/openapi.json").json()
    by_page, followed = (document["paths"][one]["get"] for one in (PATH, f"{PATH}/stream"))
    names = {"after", "name", "subject", "project", "view", "model", "version"}
    assert {one["name"] for one in by_page["parameters"]} == names | {"limit", "wait"}
    assert {one["name"] for one in followed["parameters"]} == names | {"Last-Event-ID"}
    (answer,) = by_page["responses"]["200"]["content"].values()
    assert answer["schema"] == {"$ref": "#/components/schemas/EventPage"}
    assert list(followed["responses"]["200"]["content"]) == ["text/event-stream"]


def test_one_who_does_not_read_is_cut_and_others_get_all(
    site: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "UNREAD_SECONDS", 1.0)
    monkeypatch.setattr(events_tail, "KEPT_BYTES", 1 << 20)
    begun = page(site)["position"]
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", int(site.url.rsplit(":")[-1])))
        deaf.sendall(f"GET {PATH}/stream?after={begun} HTTP/1.1\r\nHost: localhost\r\n".encode())
        deaf.sendall(f"Authorization: Bearer {KEY}\r\n\r\n".encode())
        with stream(site.url, after=begun) as sent, ThreadPoolExecutor() as pool:
            written = pool.submit(write_long, site.store)
            assert [one for one, _, _ in islice(sent, 100)] == list(range(begun + 1, begun + 101))
            written.result()
        eventually(lambda: state(deaf) == _CLOSED, "the deaf client is cut")


def write_long(store: Store) -> None:
    """10 MB in 100 events: more than the kernel holds of what a client does not read."""
    for number in range(10):
        names = [f"project-{number}-{place}" for place in range(10)]
        store.append([recorded(one, 1, ProjectCreated("a" * 100_000)) for one in names])


_CLOSED = 7
"""TCP_CLOSE of Linux."""


def state(connection: socket.socket) -> int:
    told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
    return int(struct.unpack("B", told)[0])


def test_a_client_goes_on_where_it_was_when_the_api_was_killed(
    migrated: Database, store: Store, tmp_path: Path
) -> None:
    port = port_of_its_own()
    url = f"http://127.0.0.1:{port}"
    seen: list[int] = []
    give_key(store, KEY, "tests")
    begun = store.head()
    environment = settings_environment(migrated, tmp_path, port)
    with api(environment, url) as first, stream(url, after=begun) as sent, writing(store):
        seen += (one for one, _, _ in islice(sent, ALL // 4))
        first.kill()
    with api(environment, url), stream(url, seen=seen[-1]) as sent:
        seen += (one for one, _, _ in islice(sent, ALL - len(seen)))
    assert seen == list(range(begun + 1, begun + ALL + 1))


def settings_environment(database: Database, folder: Path, port: int) -> dict[str, str]:
    settings = settings_at(database, folder)
    return dict(os.environ) | {
        "STEMMA_DATA": str(folder),
        "STEMMA_DATABASE_URL": settings.require("database_url"),
        "STEMMA_BLOBS_URL": settings.require("blobs_url"),
        "STEMMA_API_PORT": str(port),
    }


@contextmanager
def api(environment: Mapping[str, str], url: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A `stemma api` that answers."""
    process = subprocess.Popen([sys.executable, "-m", "cli.main", "api"], env=environment)
    try:
        eventually(lambda: answers(url), "the API answers")
        yield process
    finally:
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/ready", timeout=HANG_SECONDS).is_success
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def people(site: Scene) -> People:
    return People(site)


@pytest.fixture
def beating(migrated: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A server that looks at its followers' rights more often."""
    monkeypatch.setattr(events_feed, "BEAT_SECONDS", 0.2)
    with serving(settings_at(migrated, tmp_path)) as scene:
        yield scene


def test_who_may_read_one_project_gets_its_events_until_their_key_is_revoked(
    site: Scene, people: People
) -> None:
    begun = site.store.head()
    mine, view_id = site.trainable("Mine")
    version = f"/api/v1/versions/{site.version(view_id)}/events"
    theirs, _ = site.trainable("Theirs")
    site.visible()
    _, guest = people.join(("viewer", mine), ("annotator", mine))
    (key,) = [one for one in site.store.read(begun) if one.event.event_name == "key.issued"]
    head(site)
    log = site.store.read(begun)
    places = Scopes(site.store).projects_of({one.stream for one in log})
    readable = [one.position for one in log if places[one.stream] == mine]
    with guest, ThreadPoolExecutor() as pool:
        seen = guest.get(PATH, params={"limit": 1000, "after": begun}).json()
        assert positions(seen) == readable
        assert not any(item["type"].startswith("account.") for item in seen["items"])
        assert guest.get(PATH, params={"project": theirs}).status_code == 422
        long_poll: dict[str, str | int] = {
            "after": site.store.head(),
            "name": "version.*",
            "wait": 30,
        }
        polled = pool.submit(guest.get, PATH, params=long_poll)
        with (
            connect_sse(guest, "GET", f"{PATH}/stream", params={"after": begun}) as source,
            connect_sse(guest, "GET", version) as of_version,
        ):
            sent, progress = source.iter_sse(), of_version.iter_sse()
            assert [int(one.id) for one in islice(sent, len(readable))] == readable
            assert [next(progress).event for _ in range(2)] == ["progress", "waiting"]
            site.http.delete(f"/api/v1/keys/{key.entity_id}").raise_for_status()
            site.epoch(version.split("/")[4], 1)
            assert [one for one in sent if one.data] == [], "it ends"
            assert [one for one in progress if one.data] == [], "and so does that of a version"
        assert polled.result().json()["items"] == []


def test_who_signs_out_is_sent_no_more(beating: Scene) -> None:
    """The log does not tell of sessions: the beat notices that one has ended."""
    _, view_id = beating.trainable()
    version = f"/api/v1/versions/{beating.version(view_id)}/events"
    beating.visible()
    cookie = beating.session(KEY)
    with (
        ThreadPoolExecutor() as pool,
        httpx.Client(
            base_url=beating.url, cookies={cookie["name"]: cookie["value"]}, timeout=HANG_SECONDS
        ) as browser,
        connect_sse(browser, "GET", f"{PATH}/stream") as source,
        connect_sse(browser, "GET", version) as of_version,
    ):
        sent, progress = source.iter_sse(), of_version.iter_sse()
        assert next(sent).id == "1"
        assert next(progress).event == "progress"
        Sessions(engine_for(beating.settings.require("database_url"))).end(cookie["value"])
        eventually(lambda: not browser.get(PATH).is_success, "the session has ended")
        for one in (sent, progress):
            pool.submit(list, one).result(HANG_SECONDS)


def test_the_data_of_one_event_are_what_a_message_would_have(site: Scene, people: People) -> None:
    begun = site.store.head()
    mine = site.project("Mine")
    head(site)
    (item,) = page(site, after=begun, subject=f"project-{mine}")["items"]
    where = f"{PATH}/{int(item['sequence'])}/data"
    answer = site.http.get(where)
    assert answer.json() == item["data"]
    assert answer.headers["Content-Type"] == item["datacontenttype"]
    told = {name: answer.headers[f"ce-{name}"] for name in ("id", "subject", "sequence")}
    assert told == {name: item[name] for name in told}
    assert "ce-datacontenttype" not in answer.headers
    other = site.project("Other")
    _, guest = people.join(("viewer", other))
    with guest:
        for position in (int(item["sequence"]), begun + 10**6, 2**62):
            hidden = guest.get(f"{PATH}/{position}/data")
            assert hidden.status_code == 404
            assert "not found" in hidden.json()["detail"]
        assert guest.get(f"{PATH}/{int(item['sequence']) + 1}/data").json()["name"] == "Other"
    for position in (0, -1, 2**62 + 1, 2**70):
        refused(site.http.get(f"{PATH}/{position}/data"), "position")
