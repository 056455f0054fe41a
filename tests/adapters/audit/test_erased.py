"""An image is erased: its bytes and its name are gone, and everything that was proved still is."""

import hashlib
from functools import partial
from pathlib import Path

import pytest

from adapters.audit.checked_checkpoints import Signed
from adapters.audit.verify import verify
from adapters.dataset.eraser import FEED
from adapters.postgres.reactions import react_to_all
from application.dataset.erasure import REACTS_TO, erase_image, react
from application.log.store import Store
from domain.dataset.image import EraseImage
from tests.adapters.audit.bundles import Exhibit, check, members_of
from tests.application.scenes import EVERYTHING, do
from tests.servers import Database

FACE = b"2"
NAME = b"2.png"


@pytest.fixture
def erased(store: Store, migrated: Database, tmp_path: Path) -> Exhibit:
    """A log in which an image that a version was trained on is erased after it was signed."""
    exhibit = Exhibit(store, migrated, tmp_path)
    command = EraseImage("consent withdrawn", everywhere=True)
    do(store, lambda session: erase_image(session, exhibit.scene.images[2], command, EVERYTHING))
    react_to_all(store, FEED, REACTS_TO, partial(react, store, exhibit.blobs.erase))
    exhibit.signed.sign()
    return exhibit


def test_verify_stays_green_and_the_bytes_are_gone(erased: Exhibit, tmp_path: Path) -> None:
    files = [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
    assert files
    assert hashlib.sha256(FACE).hexdigest() not in {path.name for path in files}
    assert FACE not in {path.read_bytes() for path in files}
    before, *_ = checkpoints = erased.signed.checkpoints()
    assert before.size < checkpoints[-1].size
    given = [Signed(one, "one that was kept") for one in checkpoints]
    report = verify(erased.database.app_url, erased.signed.keys.verifiers(), given)
    assert (report.findings, report.events) == ([], erased.store.head())


@pytest.mark.parametrize("kind", ["version", "all"])
def test_a_bundle_verifies_and_does_not_tell_the_name(
    erased: Exhibit, tmp_path: Path, kind: str
) -> None:
    content = erased.of(kind, with_blobs=True)
    assert check(content, tmp_path, "--key", erased.keys).status == 0
    assert not [name for name, held in members_of(content).items() if NAME in held]
