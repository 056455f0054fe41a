"""An image erased by whoever asks: by the API, from the page, from the shell."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from playwright.sync_api import Browser, BrowserContext, expect
from sqlalchemy import text

from adapters.postgres.postgres import engine_for
from adapters.settings import Settings
from cli.main import main
from projections.registry import READ_MODELS
from tests.adapters.running import eventually, running
from tests.api.dataset.test_images import GOOD, upload
from tests.api.evaluation.scene import ask, evaluated, some_labels
from tests.api.pages.test_html import get
from tests.api.scene import Scene
from tests.projections.engine.rebuilding import compare

WHY = "consent withdrawn"


def face(server: Scene, name: str = "Faces") -> tuple[str, str]:
    """A project with one image; their ids."""
    project = server.project(name)
    (image,) = upload(server, project, ("portrait.png", GOOD)).json()["ids"]
    server.visible()
    return project, str(image)


def erase(server: Scene, image: str, **more: object) -> Any:
    answer = server.http.post(f"/api/v1/images/{image}/erase", json={"reason": WHY} | more)
    server.visible()
    return answer


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_an_erased_image_is_gone_wherever_it_is_asked_for(server: Scene, tmp_path: Path) -> None:
    project, image = face(server)
    path = f"/api/v1/images/{image}"
    assert server.http.get(f"{path}/thumbnail").status_code == 200
    assert len(files(tmp_path / "blobs")) == 2
    assert server.http.get(f"{path}/erasure").status_code == 404
    assert erase(server, image).status_code == 200
    for there in ("", "/content", "/thumbnail", "/thumbnail?size=2048"):
        gone = server.http.get(f"{path}{there}")
        assert gone.status_code == 410
        assert gone.headers["content-type"] == "application/problem+json"
        assert WHY in gone.json()["detail"]
        assert "being deleted" in gone.json()["detail"]
    assert server.http.get(f"{path}/erasure").json()["erasure"]["gone_at"] is None
    with running(server.settings, "eraser"):
        eventually(lambda: server.http.get(f"{path}/erasure").json()["erasure"]["gone_at"])
    assert files(tmp_path / "blobs") == []
    assert "its bytes were deleted at" in server.http.get(path).json()["detail"]
    assert server.http.get(f"/api/v1/projects/{project}/images").json()["items"] == []
    assert WHY in get(server, f"/images/{image}", 410)


def test_the_bytes_do_not_come_back(server: Scene, tmp_path: Path) -> None:
    project, image = face(server)
    erase(server, image)
    with running(server.settings, "eraser"):
        eventually(lambda: files(tmp_path / "blobs") == [])
        for into in (project, server.project("another")):
            refused = upload(server, into, ("again.png", GOOD))
            assert refused.status_code == 409
            assert WHY in refused.json()["detail"]
            assert files(tmp_path / "blobs") == []
    put = f"/api/v1/images/{image}/split"
    assert server.http.put(put, json={"split": "train"}).status_code == 410


def test_an_erasure_needs_a_reason_and_the_say_so_of_other_projects(server: Scene) -> None:
    _, image = face(server)
    _, twin = face(server, "Twins")
    for reason in ("", " ", "a\nb", "x" * 1001):
        refused = erase(server, image, reason=reason)
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["field"] == "reason"
    refused = erase(server, image)
    assert refused.status_code == 409
    assert "'Twins'" in refused.json()["detail"]
    assert erase(server, image, everywhere=True).status_code == 200
    assert server.http.get(f"/api/v1/images/{twin}").status_code == 410
    assert erase(server, "nothing").status_code == 404


def test_a_browser_asks_before_it_shows_a_picture_again(server: Scene) -> None:
    _, image = face(server)
    for there in ("content", "thumbnail"):
        path = f"/api/v1/images/{image}/{there}"
        etag = server.http.get(path).headers["etag"]
        again = server.http.get(path, headers={"If-None-Match": etag})
        assert (again.status_code, again.content) == (304, b"")
        assert server.http.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
    erase(server, image)
    gone = server.http.get(path, headers={"If-None-Match": etag})
    assert gone.status_code == 410


def mentions(server: Scene) -> int:
    """How often any row of any table has the file's name, in plain text or in bytes."""
    with engine_for(server.settings.require("database_url")).connect() as connection:
        tables = "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('log', 'read')"
        found = [
            connection.execute(text(f'SELECT t::text FROM "{schema}"."{table}" t')).scalars().all()
            for schema, table in connection.execute(text(tables)).all()
        ]
    return sum(str(found).count(form) for form in ("portrait", b"portrait".hex()))


def test_read_models_are_what_a_rebuild_gives(server: Scene) -> None:
    project, image = face(server)
    before = server.store.head()
    assert mentions(server) > 0
    erase(server, image)
    with running(server.settings, "eraser"):
        eventually(lambda: server.store.head() >= before + 3)
    server.visible()
    engine = engine_for(server.settings.require("database_url"))
    assert {one.name: compare(engine, server.store, one) for one in READ_MODELS} == {
        one.name: [] for one in READ_MODELS
    }
    then = server.http.get(f"/api/v1/projects/{project}/images", params={"as_of": before})
    [told] = then.json()["items"]
    assert (told["image_id"], told["file_name"]) == (image, "[erased]")
    assert mentions(server) == 0


def test_an_evaluation_shows_that_an_image_was_erased(server: Scene) -> None:
    asked = ask(server, "classification")
    version = evaluated(server, asked, some_labels(asked.images), kind="classification")
    erase(server, asked.images[0])
    assert "an image that is no longer in the project" in get(
        server, f"/versions/{version}/evaluation"
    )
    page = get(server, f"/versions/{version}/evaluation/images/{asked.images[0]}")
    assert "The image was erased by administrator at" in page
    assert WHY in page


@pytest.fixture
def environ(server: Scene, monkeypatch: pytest.MonkeyPatch) -> Settings:
    settings = server.settings
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("STEMMA_DATABASE_URL", settings.require("database_url"))
    monkeypatch.setenv("STEMMA_BLOBS_URL", settings.require("blobs_url"))
    return settings


def test_the_command_waits_until_the_bytes_are_gone(
    server: Scene, environ: Settings, tmp_path: Path
) -> None:
    _, image = face(server)
    command = ["erase", "image", image, "--reason", WHY]
    done = CliRunner().invoke(main, command, input="n\n")
    assert done.exit_code == 1
    assert "This cannot be undone" in done.output
    assert server.http.get(f"/api/v1/images/{image}").status_code == 200
    done = CliRunner().invoke(main, [*command, "--yes", "--wait", "0"])
    assert done.exit_code == 1
    assert "not deleted yet" in done.output
    with running(environ, "eraser"):
        done = CliRunner().invoke(main, [*command, "--yes"])
    assert (done.exit_code, "were deleted at" in done.output) == (0, True), done.output
    assert files(tmp_path / "blobs") == []


@pytest.mark.usefixtures("environ")
def test_a_version_that_lost_an_image_is_not_reproduced_but_its_manifest_stays(
    server: Scene,
) -> None:
    project, view = server.trainable()
    version = server.version(view)
    server.freeze(version)
    server.visible()
    image = server.http.get(f"/api/v1/projects/{project}/images").json()["items"][0]
    before = CliRunner().invoke(main, ["manifest", version, "--from-log"])
    assert "10 images" in before.output
    erase(server, image["image_id"])
    done = CliRunner().invoke(main, ["reproduce", version])
    assert done.exit_code == 1
    assert f"image {image['image_id']} of the version's dataset was erased" in done.output
    after = CliRunner().invoke(main, ["manifest", version, "--from-log"])
    assert after.output == before.output


@pytest.fixture
def profile(server: Scene, chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(**server.browsing)
    yield context
    context.close()


def test_the_page_asks_and_removes(server: Scene, profile: BrowserContext) -> None:
    project, image = face(server)
    page = profile.new_page()
    page.goto(f"/images/{image}")
    page.get_by_role("button", name="Remove portrait.png from the project").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Later versions are trained without it")
    dialog.get_by_role("button", name="Remove image").click()
    page.wait_for_url(re.compile(f"/projects/{project}"))
    expect(page.locator('[data-empty="images"]')).to_be_visible()
    assert server.store.read(0, names=["image.removed"])
    assert not server.store.read(0, names=["image.erased"])


def test_the_page_asks_for_a_reason_and_erases(server: Scene, profile: BrowserContext) -> None:
    project, image = face(server)
    page = profile.new_page()
    page.goto(f"/projects/{project}")
    page.locator(f'[data-image="{image}"] a').click()
    expect(page.get_by_role("heading", level=1)).to_have_text("portrait.png")
    page.get_by_role("button", name="Erase…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("This cannot be undone")
    dialog.get_by_role("button", name="Erase permanently").click()
    expect(dialog.locator("#erase-reason-error")).to_contain_text("enter a reason")
    dialog.get_by_label("Reason").fill(WHY)
    dialog.get_by_role("button", name="Erase permanently").click()
    expect(page.locator('[data-empty="images"]')).to_be_visible()
    [erased] = server.store.read(0, names=["image.erased"])
    assert (erased.entity_id, erased.event.reason) == (image, WHY)  # type: ignore[attr-defined]
    page.goto(f"/images/{image}")
    expect(page.locator("main")).to_contain_text(WHY)
