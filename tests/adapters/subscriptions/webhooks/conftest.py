"""A part that delivers, shared by a module, and a log on which none does."""

from collections.abc import Iterator

import pytest

from adapters.servers.postgres import EmbeddedPostgres
from tests.adapters.subscriptions.webhooks.scene import Hooks, hooks_on
from tests.servers import Database, new_database


@pytest.fixture(scope="module")
def hooks(postgres: EmbeddedPostgres, migrated_template: str) -> Iterator[Hooks]:
    """Tries again within a tenth of a second, and waits for an answer for as long as it takes."""
    with (
        new_database(postgres, migrated_template) as database,
        hooks_on(database) as scene,
        scene.delivering(),
    ):
        yield scene


@pytest.fixture
def idle_hooks(migrated: Database) -> Iterator[Hooks]:
    """A log of the test's own, on which nothing delivers yet."""
    with hooks_on(migrated) as scene:
        yield scene
