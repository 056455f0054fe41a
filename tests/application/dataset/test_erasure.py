"""Images erased: with all that have the same bytes, for good, and the log keeps what it had."""

import hashlib
import threading
from typing import Any

import pytest

from application.dataset import projects
from application.dataset.erasure import (
    REACTS_TO,
    ErasedImage,
    erase_image,
    erased_among,
    erased_of,
    orders,
    react,
)
from application.dataset.imports import TakenImage, take_images
from application.handle import Session, handle
from application.log.store import Store
from application.training import versions
from application.training.ingest import Ingest
from application.training.policies import manifest_of
from domain.aggregates import IMAGE, PROJECT, VERSION
from domain.dataset.blob import Blob
from domain.dataset.image import AddImage, EraseImage, ImageErased, RemoveImage
from domain.dataset.project import RenameProject
from domain.errors import Conflict, Gone, Invalid, NotFound, Stale
from domain.event import Recorded
from domain.training.manifest import counts, digest
from domain.training.messages import Failed
from domain.training.version import FreezeDataset, VersionCreated
from tests.application.scenes import EVERYTHING, Scene, do, request, trainable
from tests.application.training.reports import delivered, reports
from tests.waiting import HANG_SECONDS

WHY = "consent withdrawn"


def erase(store: Store, image_id: str, *, everywhere: bool = False, reason: str = WHY) -> int:
    command = EraseImage(reason, everywhere)
    return do(store, lambda s: erase_image(s, image_id, command, EVERYTHING)).position


def image(store: Store, image_id: str) -> Any:
    return Session(store, request()).get(IMAGE, image_id)


def add(scene: Scene, blob: str) -> str:
    addition = AddImage(scene.project, blob, 8, 8, "a.png")
    return do(scene.store, lambda s: projects.add_images(s, scene.project, [addition])).ids[0]


def order_of(store: Store) -> Recorded:
    [order] = store.read(0, names=REACTS_TO)
    return order


def created(store: Store, version: str) -> VersionCreated:
    event = store.streams([VERSION.stream(version)])[VERSION.stream(version)][0].event
    assert isinstance(event, VersionCreated)
    return event


SHA = hashlib.sha256(b"a face").hexdigest()


def test_an_image_is_erased_with_its_reason_and_never_comes_back(store: Store) -> None:
    scene = Scene(store)
    key = add(scene, SHA)
    erase(store, key, reason=f" {WHY} ")
    state = image(store, key)
    assert (state.erased, state.removed) == (WHY, True)
    assert erased_among(store, [SHA, "other"]) == {SHA: Blob(WHY)}
    with pytest.raises(Conflict, match=WHY):
        add(scene, SHA)
    taken = TakenImage("a.csv:1", AddImage(scene.project, SHA, 8, 8, "a.png"), None, ())
    with pytest.raises(Conflict, match=f"a.csv:1: the image was erased.*{WHY}"):
        do(store, lambda s: take_images(s, scene.project, [taken]))
    with pytest.raises(Conflict, match=WHY):
        add(Scene(store), SHA)
    with pytest.raises(Gone, match=WHY):
        scene.annotate((key, scene.concepts[0]))


def test_an_erasure_of_what_is_not_there_or_stale_is_refused(store: Store) -> None:
    scene = Scene(store)
    key = add(scene, SHA)
    with pytest.raises(NotFound):
        erase(store, "nothing")
    with pytest.raises(Invalid):
        erase(store, key, reason="")
    with pytest.raises(Stale):
        handle(
            store, request(expected=7), lambda s: erase_image(s, key, EraseImage(WHY), EVERYTHING)
        )
    assert list(orders(store)) == []


def test_erasing_twice_is_one_erasure(store: Store) -> None:
    key = add(Scene(store), SHA)
    before = erase(store, key)
    assert erase(store, key, reason="again") == before


def test_bytes_that_others_hold_are_erased_only_everywhere(store: Store) -> None:
    """The projects are named, those that have removed the image included."""
    one, other = Scene(store), Scene(store)
    do(store, lambda s: s.change(PROJECT, other.project, RenameProject("Faces")))
    mine, theirs = add(one, SHA), add(other, SHA)
    do(store, lambda s: s.change(IMAGE, theirs, RemoveImage()))
    before = store.head()
    with pytest.raises(Conflict, match="'Faces'") as refused:
        erase(store, mine)
    assert refused.value.field == "everywhere"
    assert store.head() == before
    erase(store, mine, everywhere=True)
    assert [image(store, key).erased for key in (mine, theirs)] == [WHY, WHY]


def test_an_image_added_while_its_bytes_are_erased_is_refused(store: Store) -> None:
    """Whichever of the two is saved first, the other decides again."""
    one, other = Scene(store), Scene(store)
    key = add(one, SHA)
    addition = AddImage(other.project, SHA, 8, 8, "a.png")
    decided, erased = threading.Event(), threading.Event()

    def slow(session: Session) -> Any:
        found = projects.add_images(session, other.project, [addition])
        decided.set()
        erased.wait(HANG_SECONDS)
        return found

    def erase_meanwhile() -> None:
        decided.wait(HANG_SECONDS)
        erase(store, key)
        erased.set()

    thread = threading.Thread(target=erase_meanwhile)
    thread.start()
    with pytest.raises(Conflict, match=WHY):
        do(store, slow)
    thread.join()


def test_an_image_of_a_project_that_was_missed_is_erased_with_the_bytes(store: Store) -> None:
    one = Scene(store)
    key = add(one, SHA)
    late: list[str] = []

    def overtaken(session: Session) -> Any:
        found = erase_image(session, key, EraseImage(WHY), EVERYTHING)
        if not late:
            late.append(add(Scene(store), SHA))
        return found

    do(store, overtaken)
    assert image(store, late[0]).erased is None
    react(store, lambda _: None, order_of(store))
    assert image(store, late[0]).erased == WHY


def test_the_bytes_go_after_the_events_and_then_the_log_says_so(store: Store) -> None:
    erase(store, add(Scene(store), SHA))
    gone: list[str] = []
    react(store, gone.append, order_of(store))
    assert gone == [SHA]
    assert erased_among(store, [SHA]) == {SHA: Blob(WHY, gone=True)}
    before = store.head()
    react(store, gone.append, order_of(store))
    assert store.head() == before
    last = store.read(before - 1)[0]
    assert (last.event.event_name, last.metadata.actor) == ("blob.erased", "eraser")
    assert last.metadata.causation_id == order_of(store).metadata.event_id


class Killed(BaseException):
    """The process ends here."""


def test_a_deletion_that_fails_is_not_confirmed(store: Store) -> None:
    erase(store, add(Scene(store), SHA))

    def die(_: str) -> None:
        raise Killed

    with pytest.raises(Killed):
        react(store, die, order_of(store))
    assert erased_among(store, [SHA]) == {SHA: Blob(WHY)}
    react(store, lambda _: None, order_of(store))
    assert erased_among(store, [SHA]) == {SHA: Blob(WHY, gone=True)}


def test_what_is_stored_stays_byte_for_byte_and_manifests_keep_their_digests(store: Store) -> None:
    scene = trainable(store)
    version = scene.train()
    before = created(store, version)
    manifest = digest(manifest_of(store, before))
    rows = _rows(store)
    erase(store, scene.images[3])
    react(store, lambda _: None, order_of(store))
    assert _rows(store)[: len(rows)] == rows
    assert digest(manifest_of(store, before)) == manifest
    later = created(store, scene.train())
    assert scene.images[3] not in {line.image for line in manifest_of(store, later)}


def _rows(store: Store) -> list[Any]:
    with store._recorder.datastore.get_connection() as connection:
        query = "SELECT * FROM log.stemma_events ORDER BY notification_id"
        return [tuple(row.values()) for row in connection.execute(query)]


def test_only_versions_trained_on_the_image_miss_it(store: Store) -> None:
    scene = trainable(store)
    before = scene.train()
    erase(store, scene.images[0])
    after = scene.train()
    erase(store, add(scene, SHA))
    lone = add(Scene(store), hashlib.sha256(b"elsewhere").hexdigest())
    erase(store, lone)
    assert erased_of(store, created(store, before)) == [ErasedImage(scene.images[0], WHY)]
    assert erased_of(store, created(store, after)) == []


def test_a_retry_without_all_images_is_refused_by_name(store: Store) -> None:
    scene = trainable(store)
    version = scene.train()
    frozen = digest(manifest_of(store, created(store, version)))
    command = FreezeDataset(frozen, counts([]))
    do(store, lambda s: s.decide(VERSION, version, command))
    Ingest(store, "reports").take(delivered(reports(version, [Failed("no memory")])))
    erase(store, scene.images[0])
    erase(store, scene.images[1])
    before = store.head()
    with pytest.raises(Conflict, match=rf"image [0-9a-f-]+ and 1 more .*{WHY}") as refused:
        do(store, lambda s: versions.retry_version(s, version))
    assert any(key in refused.value.detail for key in scene.images[:2])
    assert store.head() == before


def test_an_erased_event_names_its_digest(store: Store) -> None:
    key = add(Scene(store), SHA)
    erase(store, key)
    [erased] = store.read(0, names=["image.erased"])
    assert erased.event == ImageErased(SHA, WHY)
    assert (erased.entity_id, erased.metadata.actor) == (key, "user:ada")
