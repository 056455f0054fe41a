"""Which project a stream belongs to, on a real log."""

import uuid

import pytest

from application import scopes
from application.dataset import imports, projects
from application.handle import handle
from application.log.store import Store
from application.scopes import Scopes
from domain.dataset.imports import ImportRules, RequestImport
from tests.application.scenes import Scene, do, request, trainable


def test_each_kind_of_stream_belongs_to_its_project(store: Store) -> None:
    scene = trainable(store)
    version = scene.train()
    asked = RequestImport(scene.project, "cats.zip", False, None, ImportRules())
    imported = do(store, lambda s: imports.request_import(s, asked, frozenset())).id
    streams = [
        f"project-{scene.project}",
        f"view-{scene.view}",
        f"model-{scene.model()}",
        f"version-{version}",
        f"image-{scene.images[0]}",
        f"import-{imported}",
    ]
    found = Scopes(store).projects_of([*streams, "image-none", "blob-none"])
    assert found == dict.fromkeys(streams, scene.project) | {"image-none": None, "blob-none": None}


def test_a_stream_that_begins_later_is_found_then(store: Store) -> None:
    known, command = Scopes(store), "the command"
    project = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{command}/1"))
    assert known.project_of(f"project-{project}") is None
    handle(store, request(command), lambda s: projects.create_project(s, "Later"))
    assert known.project_of(f"project-{project}") == project


def test_what_is_cached_is_bounded_and_read_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scopes, "CACHED", 2)
    scene = Scene(store, images=4)
    streams = [f"image-{image}" for image in scene.images]
    known = Scopes(store)
    for _ in range(2):
        assert set(known.projects_of(streams).values()) == {scene.project}
    assert len(known._cache) == 2


def test_what_is_noted_as_it_begins_is_known_without_a_query(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = trainable(store)
    events = list(store.read_all())
    known = Scopes(store)
    known.note(events)
    streams = {recorded.stream for recorded in events if not recorded.stream.startswith("model-")}
    expected = Scopes(store).projects_of(streams)
    assert set(expected.values()) == {scene.project}
    monkeypatch.setattr(store, "first_events", None)
    assert known.projects_of(streams) == expected
