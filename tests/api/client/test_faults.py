"""Connections that break, servers that are busy or gone, proxies that answer: commands have one
effect, lists are whole, waits go on, and what is wrong is named."""

import threading
import zipfile
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.blobs.blobs import BlobStore
from domain.dataset.image import ImageAdded, ImageErased, ImageRemoved
from domain.event import Event
from domain.training.messages import CheckpointSaved, Completed
from stemma_client import (
    NotProven,
    NotStemma,
    Stemma,
    TooManyRequests,
    Unreachable,
    WaitTimeout,
    operations,
)
from stemma_client.errors import DigestMismatch
from tests.adapters.audit.logs import Signed
from tests.api.client import proxy as doing
from tests.api.client.proxy import Proxy
from tests.api.scene import KEY, Scene
from tests.application.scenes import recorded
from tests.servers import Database
from tests.waiting import HANG_SECONDS

BUSY = doing.answers(
    "429 Too Many Requests",
    b'{"type":"/problems#too-many-requests","title":"x","status":429,"detail":"too many"}',
    "application/problem+json",
    "Retry-After: 0",
)
PROXYS_PAGE = b"<html>Sign in to the network</html>"


@pytest.fixture
def between(site: Scene) -> Iterator[Proxy]:
    with Proxy(site.url).running() as proxy:
        yield proxy


@pytest.fixture
def client(between: Proxy) -> Iterator[Stemma]:
    with Stemma(between.url, KEY, patience=HANG_SECONDS) as made:
        yield made


CUTS = [
    doing.cut_before,
    doing.cut_after,
    doing.cut_at(10),
    doing.cut_at(200),
    doing.cut_behind_head(0),
    doing.cut_behind_head(0.5),
    doing.cut_behind_head(0.999),
]
"""The classes of a connection's bytes: none of the request has come; all of it, and nothing of the
answer; its status line; its head; the end of that; its body, but for the last byte."""


def test_a_command_has_one_effect_wherever_its_connection_is_cut(
    client: Stemma, between: Proxy, site: Scene
) -> None:
    between.actions.extend([*CUTS, BUSY])
    made = client.projects.create("Once")
    assert not between.actions
    listed = site.http.get("/api/v1/projects", params={"name": "Once"}).json()["items"]
    assert [row["project_id"] for row in listed] == [made.id]
    lines = [line.lower() for one in between.requests for line in one.split(b"\r\n")]
    assert len({line for line in lines if line.startswith(b"idempotency-key:")}) == 1


def test_an_upload_is_sent_again_whole(client: Stemma, between: Proxy, tmp_path: Path) -> None:
    project = client.projects.create("Uploaded")
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "a.txt").write_bytes(bytes(3 * 512))
    between.actions.extend([doing.cut_before, doing.cut_after])
    first = project.import_folder(folder, key="once", dry_run=True)
    assert project.import_folder(folder, key="once", dry_run=True) == first
    assert [row.import_id for row in project.imports()] == [first.id]


def test_a_list_is_whole_though_its_pages_are_cut(
    client: Stemma, between: Proxy, site: Scene
) -> None:
    project_id = site.project("Listed")
    added = add_images(site, project_id, range(7))
    between.rule = every_second(doing.cut_at(300))
    pages = client.pages(operations.list_images(project_id, limit=2))
    assert [row.image_id for page in pages for row in page.items] == added


def always(action: doing.Action) -> Callable[[bytes], doing.Action | None]:
    return lambda _: action


def every_second(action: doing.Action) -> Callable[[bytes], doing.Action | None]:
    count = 0

    def rule(_: bytes) -> doing.Action | None:
        nonlocal count
        count += 1
        return action if count % 2 else None

    return rule


def add_images(site: Scene, project_id: str, numbers: range) -> list[str]:
    """Images without content, straight into the log; their ids."""
    ids = [f"{project_id}-{number:05}" for number in numbers]
    site.store.append(
        [
            recorded(
                f"image-{one}", 1, ImageAdded(project_id, f"sha-{one}", 8, 8, f"{one}.png", {})
            )
            for one in ids
        ]
    )
    site.visible()
    return ids


def test_pages_miss_and_repeat_nothing_while_others_write(client: Stemma, site: Scene) -> None:
    """Of 10,000 images, between any two pages, some are erased and removed on both sides of where
    the list is, and others are added."""
    project_id = site.project("Changing")
    there = add_images(site, project_id, range(10_000))
    ahead = deque(there[::3])
    pages = client.pages(operations.list_images(project_id, limit=500))
    found: list[str] = []
    gone: set[str] = set()
    later: list[str] = []
    endings: list[Event] = [ImageRemoved(), ImageErased("sha", "a person asked for it")]
    for place, page in enumerate(pages):
        found += [row.image_id for row in page.items]
        batch = [take() for take in (ahead.popleft, ahead.pop) for _ in range(80)]
        gone |= set(batch)
        site.store.append(
            [recorded(f"image-{one}", 2, endings[number % 2]) for number, one in enumerate(batch)]
        )
        later += add_images(site, project_id, range(20_000 + place, 20_001 + place))
    stayed = [one for one in there if one not in gone]
    assert len(gone) > 2500
    assert len(found) == len(set(found))
    assert [one for one in found if one not in gone | set(later)] == stayed
    assert set(found) <= {*there, *later}
    assert client.project(project_id).image_table().columns["image_id"] == [*stayed, *later]


def test_a_wait_goes_on_once_the_server_is_back(
    client: Stemma, between: Proxy, site: Scene
) -> None:
    _, view = site.trainable("Back")
    run = client.view(view).train(architecture="mobilenet_v3_small")
    between.rule = lambda request: doing.cut_after if b"wait=" in request else None
    waited = threading.Thread(target=run.wait, kwargs={"timeout": HANG_SECONDS})
    waited.start()
    site.begin(run.id, 1)
    site.epoch(run.id, 1, of=1)
    site.finish(run.id)
    between.rule = lambda _: None
    waited.join(HANG_SECONDS)
    assert run.status == "ready"


def test_a_storm_is_waited_out_and_at_last_named(client: Stemma, between: Proxy) -> None:
    between.actions.extend([BUSY] * 5)
    assert client.whoami().actor == "administrator"
    between.rule = lambda _: BUSY
    with Stemma(between.url, KEY, patience=0.5) as hasty:
        with pytest.raises(TooManyRequests, match="too many") as storm:
            hasty.whoami()
        assert storm.value.kind == "too-many-requests"


def test_a_server_that_is_gone_is_named(between: Proxy) -> None:
    between.rule = lambda _: doing.cut_before
    with (
        Stemma(between.url, KEY, patience=0.5) as hasty,
        pytest.raises(Unreachable, match="that the server is running"),
    ):
        hasty.projects.create("Nowhere")


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "302 Found"])
def test_what_a_proxy_says_is_no_answer(client: Stemma, between: Proxy, status: str) -> None:
    between.actions.append(doing.answers(status, PROXYS_PAGE, "text/html"))
    with pytest.raises(NotStemma, match="and proxies in between"):
        client.whoami()


def test_what_another_program_answers_is_no_answer(client: Stemma, between: Proxy) -> None:
    """Any JSON object would be an answer whose fields are not set."""
    between.actions.append(doing.answers("200 OK", b'{"actor":"nobody"}', "application/json"))
    with pytest.raises(NotStemma, match="not an answer of Stemma"):
        client.whoami()
    garbled = doing.answers("200 OK", b"{}", "application/json", "Content-Encoding: gzip")
    between.actions.append(garbled)
    with pytest.raises(NotStemma, match="not encoded as its headers declare"):
        client.whoami()


def test_a_proxys_page_is_no_file(client: Stemma, between: Proxy, tmp_path: Path) -> None:
    project = client.projects.create("Exported")
    page = doing.answers("200 OK", PROXYS_PAGE, "text/html")
    between.rule = lambda request: page if b"/export" in request else None
    with pytest.raises(NotStemma, match="and proxies in between"):
        project.export(tmp_path / "export.zip")
    assert list(tmp_path.iterdir()) == []
    between.rule = always(page)
    with pytest.raises(NotStemma, match="and proxies in between"):
        client.send(operations.get_thumbnail("any"))


def test_an_export_goes_on_where_it_was_cut_and_is_of_one_moment(
    client: Stemma, between: Proxy, site: Scene, tmp_path: Path
) -> None:
    project_id = site.project("Exported")
    added = add_images(site, project_id, range(40))
    whole = client.project(project_id).export(tmp_path / "whole.zip", format="studio").read_bytes()
    more = iter([True])

    def rule(request: bytes) -> doing.Action | None:
        if b"/export" not in request.partition(b"\r\n")[0]:
            return None
        if next(more, False):  # after the export began
            add_images(site, project_id, range(100, 101))
        return doing.cut_at(900) if b"range:" not in request.lower() else None

    between.rule = rule
    part = client.project(project_id).export(tmp_path / "cut.zip", format="studio")
    assert part.read_bytes() == whole
    with zipfile.ZipFile(part) as archive:
        lines = b"".join(archive.read(name) for name in archive.namelist()).splitlines()
    assert sum(one.encode() in line for one in added for line in lines) == 40


def test_a_proxy_that_cannot_reach_the_server_is_waited_for(client: Stemma, between: Proxy) -> None:
    between.actions.append(doing.answers("502 Bad Gateway", PROXYS_PAGE, "text/html"))
    assert client.whoami().actor == "administrator"


def trained(site: Scene, weights: bytes) -> str:
    """A version whose checkpoint has this content."""
    store = BlobStore.from_url(site.settings.require("blobs_url"))
    digest = store.put(weights)
    _, view = site.trainable("Taken")
    version = site.version(view)
    site.begin(version, 1)
    site.report(
        version,
        CheckpointSaved(digest, len(weights), "validation_accuracy", 0.5, 1),
        Completed(digest, "cd" * 32, 10),
    )
    return version


def test_a_download_goes_on_where_it_was_cut(
    client: Stemma, between: Proxy, site: Scene, tmp_path: Path
) -> None:
    weights = bytes(range(256)) * 4000
    run = client.version(trained(site, weights))
    cuts = iter([400_000, 300_000])

    def rule(request: bytes) -> doing.Action | None:
        checkpoint = b"/checkpoint" in request.partition(b"\r\n")[0]
        return doing.cut_at(next(cuts, 10_000_000)) if checkpoint else None

    between.rule = rule
    folder = run.download(tmp_path / "model")
    assert (folder / "model.safetensors").read_bytes() == weights
    asked = [one for one in between.requests if b"/checkpoint HTTP" in one]
    assert [b"range: bytes=" in one.lower() for one in asked] == [False, True, True]
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md", "model.json", "model.safetensors",
    ]  # fmt: skip
    run.download(folder)
    assert len([one for one in between.requests if b"/checkpoint HTTP" in one]) == len(asked)


def test_other_weights_than_those_in_the_log_are_not_taken(
    client: Stemma, between: Proxy, site: Scene, tmp_path: Path
) -> None:
    run = client.version(trained(site, b"weights " * 1000))
    between.rule = lambda _: doing.replaces(b"weights ", b"malware ")
    with pytest.raises(DigestMismatch, match="and the log names"):
        run.download(tmp_path)
    assert not (tmp_path / "model.safetensors").exists()


def test_a_version_is_proven_and_what_is_altered_is_not(
    client: Stemma, between: Proxy, site: Scene, tmp_path: Path
) -> None:
    run = client.version(trained(site, b"proven"))
    database = Database("", "", site.settings.require("database_url"))
    signed = Signed(database, site.settings.data)
    size = signed.sign().size
    kept = tmp_path / "kept.txt"
    with pytest.raises(WaitTimeout, match="is the signer running"):
        client.audit.checkpoint(at_least=10_000_000, timeout=0)
    kept.write_text(client.audit.checkpoint(at_least=size).note)
    (tmp_path / "model.safetensors").write_bytes(b"proven")
    proof = run.prove(kept, weights=tmp_path)
    assert proof.weights == run.row.checkpoint
    assert proof.events[0].name == "version.created"
    (tmp_path / "model.safetensors").write_bytes(b"others")
    with pytest.raises(DigestMismatch):
        run.prove(kept, weights=tmp_path)
    digest = str(run.row.checkpoint).encode()
    for old, new, says in (
        (digest, b"00" * 32, "different content"),
        (b"version.training_completed", b"version.training_complete_", "was altered"),
    ):
        between.rule = always(doing.replaces(old, new))
        with pytest.raises(NotProven, match=says):
            run.prove(kept)
    between.rule = lambda _: None
    site.project("Later")
    signed.sign()
    assert client.audit.check(kept).size > proof.checkpoint.size
    forged = kept.read_text().replace(kept.read_text().splitlines()[2], f"{'A' * 43}=")
    with pytest.raises(NotProven):
        client.audit.check(forged)
