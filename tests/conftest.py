"""Fixtures that every folder of tests may take."""

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from PIL import Image
from sqlalchemy import Engine

from adapters.postgres.postgres import engine_for
from adapters.processes.loading import collect_rarely
from adapters.servers.postgres import DATABASE, EmbeddedPostgres
from application.log.store import Store
from gpu_worker.compiler import stand_in
from tests.servers import Database, new_database

# Before torch is loaded: its threads would take the cores from the other tests' processes.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


# A shell that starts the suite in the background has it ignore SIGINT, as what it starts then does.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# An example that takes long beside other work is no failure.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

collect_rarely()
stand_in()

PILLOWS_LIMIT = Image.MAX_IMAGE_PIXELS

LONGEST_FIRST = (
    "system/test_faults.py",
    "system/test_experiment_faults.py",
    "system/test_full_disk.py",
    "gpu_worker/test_kinds.py",
    "api/experiments/test_pages.py",
    "test_benchmarks.py",
    "api/pages/test_accessibility.py",
    "system/test_control.py",
    "system/test_demo.py",
    "gpu_worker/test_recipes.py",
    "gpu_worker/test_control.py",
    "system/test_take_away.py",
    "system/test_own_training.py",
    "system/test_predictors.py",
    "api/client/test_faults.py",
    "gpu_worker/test_model_code.py",
    "gpu_worker/test_group.py",
    "api/pages/test_pages.py",
    "api/training/test_train_dialog.py",
    "gpu_worker/test_failures.py",
    "api/dataset/test_imports.py",
    "api/test_demo_project.py",
    "api/training/test_versions.py",
    "gpu_worker/test_kills.py",
    "api/operations/test_rebuild_under_load.py",
    "api/dataset/test_imports_page.py",
    "api/evaluation/test_page.py",
    "api/operations/test_away.py",
    "adapters/audit/test_tampering.py",
    "api/test_every_operation.py",
    "api/library/annotate/test_boxes.py",
    "api/library/annotate/test_typed_ahead.py",
    "system/test_import_faults.py",
    "gpu_worker/test_worker.py",
    "gpu_worker/test_predictions.py",
    "api/evaluation/test_on_test_set.py",
    "gpu_worker/test_take_away.py",
    "system/test_replay.py",
    "projections/test_as_of.py",
    "system/test_trace.py",
)
"""Files of over some 20 seconds: one that began last would run alone in the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`make test` gives whole files to its processes, in this order."""
    place = {Path(__file__).parent / name: at for at, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))


def pytest_collection_finish() -> None:
    """What is loaded by now stays: no collection of garbage looks at it again."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """So that libraries end as they do elsewhere: some print what is left of them."""
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _pillows_own_limit() -> None:
    """The decoder sets Pillow's limit of pixels for its process; tests open images, too."""
    Image.MAX_IMAGE_PIXELS = PILLOWS_LIMIT


@pytest.fixture(scope="session")
def migrated_template(postgres: EmbeddedPostgres) -> Iterator[str]:
    with new_database(postgres, DATABASE) as made:
        yield made.name


@pytest.fixture
def migrated(postgres: EmbeddedPostgres, migrated_template: str) -> Iterator[Database]:
    """A database as `stemma migrate` leaves it, with no events."""
    with new_database(postgres, migrated_template) as made:
        yield made


@pytest.fixture
def store(migrated: Database) -> Iterator[Store]:
    opened = Store(migrated.app_url)
    yield opened
    opened.close()


@pytest.fixture
def engine(migrated: Database) -> Iterator[Engine]:
    opened = engine_for(migrated.app_url)
    yield opened
    opened.dispose()
