"""The demo's project follows from its seed: in every log the same, and in one log made once."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from adapters.servers.postgres import EmbeddedPostgres
from application.training.policies import manifest_of, version_of
from cli.client import ApiClient, ApiProblem
from cli.demo.plans import PLANS, Plan
from cli.demo.project import make_project
from cli.demo.scenes import VALIDATION
from domain.dataset.image import ImageAdded
from domain.library.view import CLASSIFICATION, DETECTION, TAGGING
from domain.training.manifest import digest
from tests.adapters.running import running
from tests.api.conftest import serving, settings_at
from tests.api.scene import KEY, Scene
from tests.servers import new_database

DIGITS = PLANS[CLASSIFICATION]
FEW = {kind: msgspec.structs.replace(PLANS[kind], scenes=40) for kind in (TAGGING, DETECTION)}
QUIET = Console(quiet=True)
IMAGES = 200


@pytest.fixture
def two_logs(
    postgres: EmbeddedPostgres, migrated_template: str, tmp_path: Path
) -> Iterator[tuple[Scene, Scene]]:
    """Two systems that know nothing of each other."""

    @contextmanager
    def system(folder: Path) -> Iterator[Scene]:
        with new_database(postgres, migrated_template) as database:
            settings = settings_at(database, folder)
            with serving(settings) as scene, running(settings, "importer"):
                yield scene

    with system(tmp_path / "a") as first, system(tmp_path / "b") as second:
        yield first, second


def made(scene: Scene, plan: Plan, seed: int, key: str = KEY) -> str:
    with ApiClient(scene.url, key) as client:
        return make_project(client, QUIET, plan, seed, IMAGES)


def dataset(scene: Scene, view_id: str, plan: Plan) -> str:
    """The digest of what a version of the view is trained on."""
    version_id = scene.version(view_id, **plan.options)
    return digest(manifest_of(scene.store, version_of(scene.store, version_id).created))


def projects(scene: Scene) -> int:
    scene.visible()
    return len(scene.http.get("/api/v1/projects").json()["items"])


@pytest.mark.parametrize("plan", [DIGITS, FEW[DETECTION]], ids=lambda plan: plan.kind)
def test_the_same_seed_is_trained_on_the_same_images_in_the_same_order(
    two_logs: tuple[Scene, Scene], plan: Plan
) -> None:
    view_ids = [made(scene, plan, 0) for scene in two_logs]
    here, there = (dataset(*each, plan) for each in zip(two_logs, view_ids, strict=True))
    assert here == there
    assert made(two_logs[0], plan, 1) not in view_ids


def test_a_project_is_made_once_for_each_account(server: Scene) -> None:
    view_id = made(server, DIGITS, 0)
    head = server.store.head()
    assert made(server, DIGITS, 0) == view_id
    assert server.store.head() == head
    with server.person("colleague") as colleague:
        key = colleague.headers["Authorization"].removeprefix("Bearer ")
        own = made(server, DIGITS, 0, key)
        assert own != view_id
        assert made(server, DIGITS, 0, key) == own
    assert projects(server) == 2


def test_scenes_are_imported_once_and_again_after_a_failure(server: Scene) -> None:
    plan = FEW[TAGGING]
    with (
        running(msgspec.structs.replace(server.settings, max_import_files=1), "importer"),
        pytest.raises(ApiProblem, match="the import is"),
    ):
        made(server, plan, 0)
    with running(server.settings, "importer"):
        view_id = made(server, plan, 0)
        images = count_images(server)
        assert made(server, plan, 0) == view_id
    assert images == count_images(server) == plan.scenes + VALIDATION
    assert projects(server) == 1


def count_images(scene: Scene) -> int:
    """How often an image was added."""
    return sum(isinstance(one.event, ImageAdded) for one in scene.store.read_all())
