"""Downloads: at once, cut, answered by others, and into folders that have files already."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stemma_client import DigestMismatch, NotStemma, Stemma, StemmaError, Unreachable, operations
from stemma_client.downloads import download
from stemma_client.partial_files import partial_of
from tests.api.client import proxy as doing
from tests.api.client.proxy import Proxy
from tests.api.client.test_faults import trained
from tests.api.scene import KEY, Scene
from tests.waiting import HANG_SECONDS

WEIGHTS = bytes(range(256)) * 4000


@pytest.fixture
def between(site: Scene) -> Iterator[Proxy]:
    with Proxy(site.url).running() as proxy:
        yield proxy


@pytest.fixture
def client(between: Proxy) -> Iterator[Stemma]:
    with Stemma(between.url, KEY, patience=HANG_SECONDS) as made:
        yield made


def of_checkpoint(request: bytes) -> bool:
    return b"/checkpoint" in request.partition(b"\r\n")[0]


def test_of_several_downloads_at_once_one_fetches(
    client: Stemma, between: Proxy, site: Scene, tmp_path: Path
) -> None:
    """Two that wrote to the same file would both be found altered."""
    run = client.version(trained(site, WEIGHTS))
    with ThreadPoolExecutor(6) as pool:
        folders = list(pool.map(lambda _: run.download(tmp_path / "model"), range(6)))
    assert {(one / "model.safetensors").read_bytes() for one in folders} == {WEIGHTS}
    assert len([one for one in between.requests if of_checkpoint(one)]) == 1
    assert not list((tmp_path / "model").glob(".*"))


def test_exports_at_once_are_each_whole(client: Stemma, tmp_path: Path) -> None:
    project = client.projects.create("Exported")
    target = tmp_path / "export.zip"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: project.export(target, format="studio"), range(8)))
    assert list(tmp_path.iterdir()) == [target]
    assert target.read_bytes()[:2] == b"PK"


def test_a_part_that_was_not_asked_for_is_not_put_behind_another(
    client: Stemma, between: Proxy, site: Scene, tmp_path: Path
) -> None:
    run = client.version(trained(site, WEIGHTS))
    between.rule = lambda request: doing.cut_at(400_000) if of_checkpoint(request) else None
    with Stemma(between.url, KEY, patience=0) as hasty, pytest.raises(Unreachable, match="bytes"):
        hasty.version(run.id).download(tmp_path)
    (left,) = tmp_path.glob(".*.partial")
    kept = left.read_bytes()
    other = doing.answers(
        "206 Partial Content", b"x" * 10, "application/octet-stream",
        "Content-Range: bytes 7-16/1024000", "Stemma-API-Version: 1",
    )  # fmt: skip
    between.rule = lambda request: other if of_checkpoint(request) else None
    with pytest.raises(NotStemma, match="206"):
        run.download(tmp_path)
    assert left.read_bytes() == kept
    between.rule = lambda _: None
    assert (run.download(tmp_path) / "model.safetensors").read_bytes() == WEIGHTS


def test_a_proxy_without_a_server_is_waited_out_by_downloads_too(
    client: Stemma, between: Proxy, site: Scene, tmp_path: Path
) -> None:
    run = client.version(trained(site, WEIGHTS))
    gone = iter([doing.answers("502 Bad Gateway", b"<html>", "text/html")] * 2)
    between.rule = lambda request: next(gone, None) if of_checkpoint(request) else None
    assert (run.download(tmp_path) / "model.safetensors").read_bytes() == WEIGHTS


def test_a_readme_of_others_is_not_written_over(
    client: Stemma, site: Scene, tmp_path: Path
) -> None:
    run = client.version(trained(site, WEIGHTS))
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(StemmaError, match="give a folder of its own"):
        run.download(tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["README.md"]
    assert run.download(run.download(tmp_path / "model")) == tmp_path / "model"


def test_a_part_that_is_moved_away_meanwhile_is_not_written_to(tmp_path: Path) -> None:
    target, waits = tmp_path / "file", threading.Event()

    def other() -> None:
        waits.set()
        with partial_of(target, "digest") as partial:
            partial.write(b"second")
            partial.move_to(target)

    thread = threading.Thread(target=other)
    with partial_of(target, "digest") as partial:
        thread.start()
        assert waits.wait(HANG_SECONDS)
        partial.write(b"first")
        partial.move_to(target)
        assert target.read_bytes() == b"first"
    thread.join()
    assert target.read_bytes() == b"second"
    assert list(tmp_path.iterdir()) == [target]


def test_a_digest_is_no_path(client: Stemma, tmp_path: Path) -> None:
    request = operations.get_image_content("any")
    for digest in ("../../elsewhere", "AB" * 32, ""):
        with pytest.raises(DigestMismatch, match="which is not a sha256"):
            download(client.transport, request, tmp_path / "file", digest=digest)
    assert not list(tmp_path.iterdir())


def test_a_download_into_nothing_names_the_folder(client: Stemma, tmp_path: Path) -> None:
    request = operations.get_image_content("any")
    with pytest.raises(FileNotFoundError):
        download(client.transport, request, tmp_path / "none" / "file")
