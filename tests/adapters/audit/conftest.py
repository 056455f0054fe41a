"""A log that is made once for all tests of a module, and not changed by them."""

from collections.abc import Iterator

import pytest

from adapters.servers.postgres import EmbeddedPostgres
from application.log.store import Store
from tests.adapters.audit.bundles import Exhibit
from tests.servers import new_database, server_folder


@pytest.fixture(scope="module")
def exhibit(postgres: EmbeddedPostgres, migrated_template: str) -> Iterator[Exhibit]:
    with new_database(postgres, migrated_template) as database, server_folder() as folder:
        store = Store(database.app_url)
        yield Exhibit(store, database, folder)
        store.close()
