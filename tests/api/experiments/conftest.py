"""An API whose experiments are carried on, with trainings that are simulated."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from adapters.experiments.part import FEED
from adapters.servers.postgres import EmbeddedPostgres
from application.experiments.policy import REACTS_TO
from domain.aggregates import VERSION
from domain.training.version import require
from tests.adapters.running import eventually, running
from tests.api.conftest import serving, settings_at
from tests.api.pages.tabs import opened_tab
from tests.api.pages.test_pages import REFUSED
from tests.api.scene import Scene
from tests.application.experiments.simulation import Trainer, experiment_at
from tests.servers import new_database
from tests.waiting import HANG_MS

SPACE = {
    "architectures": ["resnet18", "mobilenet_v3_small"],
    "optimizers": ["momentum", "nadam"],
    "balancing": [False, True],
}
EPOCHS = 3
SMALL = {"epochs": EPOCHS, "width": 32, "height": 32}
TRIALS = 14


class Laboratory:
    """Starts experiments by HTTP, and trains their trials."""

    def __init__(self, site: Scene, database_url: str) -> None:
        self.site, self.database_url = site, database_url
        self.trainer = Trainer(site.store)

    def start(self, view_id: str, **body: object) -> str:
        return str(self.site.post(f"/views/{view_id}/experiments", body)["id"])

    def get(self, path: str) -> Any:
        return self.site.http.get(f"/api/v1{path}").raise_for_status().json()

    def trials(self, experiment_id: str) -> list[str]:
        return [t.version_id for t in experiment_at(self.site.store, experiment_id).trials]

    def status(self, version_id: str) -> str:
        """A version's status, by the log."""
        stream = VERSION.stream(version_id)
        events = self.site.store.streams([stream])[stream]
        return require(VERSION.fold(each.event for each in events)).status

    def run(self, experiment_id: str, *, steps: int = 100_000) -> None:
        """Train an epoch of each trial, as often as said or until the experiment has ended."""
        for _ in range(steps):
            if experiment_at(self.site.store, experiment_id).concluded is not None:
                break
            for version_id in self.trials(experiment_id):
                self.trainer.step(version_id)
            self._await_decisions()
        self.site.visible()

    def _await_decisions(self) -> None:
        """A trial is faster here than a network: it would be over before it could be pruned."""
        store = self.site.store
        last = max(each.position for each in store.read_all(names=REACTS_TO))
        eventually(lambda: store.tracked(FEED) >= last)


@pytest.fixture(scope="package")
def laboratory(
    postgres: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Laboratory]:
    folder = tmp_path_factory.mktemp("laboratory")
    with new_database(postgres, migrated_template) as database:
        settings = settings_at(database, folder)
        with serving(settings) as site, running(settings, "trials"):
            yield Laboratory(site, database.app_url)


@pytest.fixture(scope="package")
def finished(laboratory: Laboratory) -> tuple[str, str]:
    """A view, and an experiment in it that has ended: some trials completed, others were pruned."""
    _, view_id = laboratory.site.trainable()
    body = {"budget": TRIALS, "concurrency": 3, "space": SPACE, "options": SMALL}
    experiment_id = laboratory.start(view_id, **body)
    laboratory.run(experiment_id)
    return view_id, experiment_id


@pytest.fixture(scope="module")
def profile(laboratory: Laboratory, chromium: Browser) -> Iterator[BrowserContext]:
    browsing = laboratory.site.browsing
    context = chromium.new_context(**browsing, viewport={"width": 1400, "height": 900})
    context.set_default_timeout(HANG_MS)
    yield context
    context.close()


@pytest.fixture
def page(profile: BrowserContext) -> Iterator[Page]:
    """A tab that must have nothing to complain about but refusals."""
    with opened_tab(profile, REFUSED) as tab:
        yield tab
