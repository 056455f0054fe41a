"""Personal fields are sealed in the log under their stream's key, and erased with that key."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from cryptography.exceptions import InvalidTag

from application.access.accounts import all_of, change_account
from application.access.sign_in import SignInPolicy, account_of
from application.dataset import projects
from application.dataset.dataset import images_at
from application.dataset.erasure import erase_image
from application.log.sealing import new_key, seal, unseal
from application.log.store import AppendRefused, Store
from domain.access.account import AccountOpened, EraseAccount, IdentityLinked
from domain.access.identity import Identity
from domain.access.roles import Role
from domain.aggregates import ACCOUNT
from domain.dataset.image import AddImage, EraseImage, ImageAdded, ImageErased, ImageRemoved
from domain.event import registry
from domain.library.view import ViewCreated
from domain.personal import ERASED, erased_values, without_personal
from tests.application.scenes import EVERYTHING, Scene, do, recorded
from tests.servers import Database

SHA = hashlib.sha256(b"a face").hexdigest()
NAME, METADATA = "Ada Lovelace.png", {"patient": "Lovelace"}
ADDED = ImageAdded("project-1", SHA, 8, 8, NAME, METADATA)
GOLDEN = Path(__file__).parents[2] / "golden" / "image.added.v1.json"


@contextmanager
def owner(database: Database) -> Iterator[Any]:
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        yield connection


def states(database: Database) -> list[bytes]:
    query = "SELECT state FROM log.stemma_events ORDER BY notification_id"
    with owner(database) as connection:
        return [row[0] for row in connection.execute(query)]


def keys(database: Database) -> dict[str, bytes]:
    with owner(database) as connection:
        return dict(connection.execute("SELECT subject, key FROM log.subject_keys").fetchall())


def added(store: Store) -> tuple[Scene, str]:
    scene = Scene(store)
    addition = AddImage(scene.project, SHA, 8, 8, NAME, METADATA)
    return scene, do(store, lambda s: projects.add_images(s, scene.project, [addition])).ids[0]


def read(store: Store, image_id: str) -> ImageAdded:
    stream = f"image-{image_id}"
    event = store.streams([stream])[stream][0].event
    assert isinstance(event, ImageAdded)
    [same] = store.read(0, names=["image.added"])
    assert same.event == event
    return event


def test_a_sealed_text_opens_with_its_key_at_its_place() -> None:
    key = new_key()
    sealed = seal(b"text", key, b"here")
    assert unseal(sealed, key, b"here") == b"text"
    assert sealed != seal(b"text", key, b"here")
    for other, place in ((key, b"there"), (new_key(), b"here")):
        with pytest.raises(InvalidTag):
            unseal(sealed, other, place)


def test_fields_are_personal_by_their_type() -> None:
    assert erased_values(ImageAdded) == {"file_name": ERASED, "metadata": {}}
    assert erased_values(ViewCreated) == {}
    assert {name for name, one in registry().items() if erased_values(one)} == {
        "image.added",
        "account.opened",
        "account.identity_linked",
        "key.issued",
        "webhook.registered",
        "webhook.secret_rotated",
        "key.rotated",
        "key.invitation_issued",
        "key.invitation_accepted",
    }
    assert without_personal(ADDED) == ImageAdded("project-1", SHA, 8, 8, ERASED, {})
    assert without_personal(ImageRemoved()) == ImageRemoved()
    ada = AccountOpened("ada", "person")
    assert without_personal(ada) == ada
    known = AccountOpened("ada", "person", "ada@example.com")
    assert without_personal(known) == AccountOpened("ada", "person", ERASED)


def test_nothing_personal_is_stored_in_plain_text(store: Store, migrated: Database) -> None:
    scene, key = added(store)
    assert all(b"Lovelace" not in state for state in states(migrated))
    assert keys(migrated).keys() == {f"image-{key}"}
    event = read(store, key)
    assert (event.file_name, event.metadata) == (NAME, METADATA)
    with owner(migrated) as connection:
        data = connection.execute("SELECT data FROM log.events WHERE name = 'image.added'")
        [[told]] = data.fetchall()
    assert told == {
        "event": "image.added",
        "project_id": scene.project,
        "blob": SHA,
        "width": 8,
        "height": 8,
    }


def test_names_are_opened_only_for_those_who_ask(store: Store) -> None:
    scene, _ = added(store)
    for personal, name in ((False, ERASED), (True, NAME)):
        [image] = images_at(store, scene.project, store.head(), personal=personal)
        assert image.state.added.file_name == name


def test_erasing_shreds_the_key_with_the_event(store: Store, migrated: Database) -> None:
    _, key = added(store)
    before = states(migrated)
    do(store, lambda s: erase_image(s, key, EraseImage("consent withdrawn"), EVERYTHING))
    assert keys(migrated) == {}
    assert states(migrated)[: len(before)] == before
    event = read(store, key)
    assert (event.file_name, event.metadata) == (ERASED, {})
    assert event.blob == SHA


def test_erasing_an_account_leaves_its_name_only(store: Store, migrated: Database) -> None:
    ada = Identity("https://idp.example", "00u-lovelace", "ada@example.com", "countess")
    key = account_of(store, ada, SignInPolicy(Role.VIEWER))
    stream = f"account-{key}"
    assert all(b"00u-lovelace" not in state for state in states(migrated))
    assert keys(migrated).keys() == {stream}
    for _ in range(2):
        do(store, lambda s: change_account(s, key, EraseAccount("asked for")))
    assert keys(migrated) == {}
    events = [one.event for one in store.streams([stream])[stream]]
    assert [one.event_name for one in events[-2:]] == ["account.closed", "account.erased"]
    assert AccountOpened("ada@example.com", "person", ERASED) in events
    assert IdentityLinked(ada.issuer, ERASED) in events
    [(_, account)] = all_of(store, ACCOUNT)
    assert (account.email, account.identities, account.closed) == (None, frozenset(), True)
    named_so = msgspec.structs.replace(ada, subject=ERASED)
    assert account_of(store, named_so, SignInPolicy()) != key, "nobody gets in by what it reads as"


def test_what_is_refused_leaves_the_keys_as_they_were(store: Store, migrated: Database) -> None:
    store.append([recorded("image-1", 1, ADDED)])
    before = keys(migrated)
    erased = recorded("image-1", 1, ImageErased(SHA, "consent withdrawn"))
    for refused in (erased, recorded("image-1", 1, ADDED)):
        with pytest.raises(AppendRefused):
            store.append([recorded("image-2", 1, ADDED), refused])
        assert keys(migrated) == before


def test_a_stream_keeps_its_key(store: Store, migrated: Database) -> None:
    store.append([recorded("image-1", 1, ADDED), recorded("image-1", 2, ImageRemoved())])
    before = keys(migrated)
    store.append([recorded("image-1", 3, ADDED), recorded("image-1", 4, ImageRemoved())])
    assert keys(migrated) == before
    first, _, again, _ = store.streams(["image-1"])["image-1"]
    assert first.event == again.event == ADDED


def test_an_image_stored_before_there_were_keys_is_read_and_then_gets_one(
    store: Store, migrated: Database
) -> None:
    with owner(migrated) as connection:
        connection.execute(
            "INSERT INTO log.stemma_events VALUES ('image-1', 1, 'image.added', %b, 1)",
            [GOLDEN.read_bytes()],
        )
    [old] = store.read(0)
    assert isinstance(old.event, ImageAdded)
    assert old.event.file_name == "naïve name.png"
    store.append([recorded("image-1", 2, ImageRemoved()), recorded("image-1", 3, ADDED)])
    assert keys(migrated).keys() == {"image-1"}
    assert store.read(2)[0].event == ADDED


def test_a_sealed_text_that_was_moved_is_refused(store: Store, migrated: Database) -> None:
    store.append([recorded("image-1", 1, ADDED), recorded("image-2", 1, ADDED)])
    with owner(migrated) as connection:
        connection.execute("UPDATE log.subject_keys SET key = sha256(subject::bytea)")
    with pytest.raises(ValueError, match=r"image\.added, revision 1 of image-1, cannot be opened"):
        store.read(0)


def test_no_key_goes_without_an_event_that_says_so(store: Store, migrated: Database) -> None:
    store.append([recorded("image-1", 1, ADDED)])
    with psycopg.connect(migrated.app_url, autocommit=True) as connection:
        connection.execute("SELECT log.shred_subject_keys(ARRAY['image-1'])")
        for statement in (
            "DELETE FROM log.subject_keys",
            "UPDATE log.subject_keys SET key = ''",
            "TRUNCATE log.subject_keys",
            "INSERT INTO log.subject_keys VALUES ('a', '')",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
    assert keys(migrated).keys() == {"image-1"}
