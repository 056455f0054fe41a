"""As of any position, every query answers as it did when the log ended there."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, Engine

import projections.engine.follow
from adapters.postgres.postgres import engine_for
from adapters.servers.postgres import EmbeddedPostgres
from projections.dataset import catalog, groups, label_history
from projections.dataset import queries as dataset_queries
from projections.dataset.index_scans import ImageFilter
from projections.engine.follow import Follower
from projections.engine.writes import fetch
from projections.flip_book import flip_book, suspects
from projections.registry import READ_MODELS
from projections.training import (
    evaluations,
    library_queries,
    library_revisions,
    metric_history,
    test_evaluations,
    version_progress,
)
from projections.training.library_queries import SORTS, VersionFilter
from projections.training.library_revisions import LibraryPage, Listed
from tests.projections.engine.rebuilding import compare
from tests.projections.random_history import (
    IMAGES,
    PROJECTS,
    VERSIONS,
    VIEWS,
    random_history,
)
from tests.servers import new_database

EVENTS = 80

FILTERS = (
    ImageFilter(split="validation", view_id="v1"),
    ImageFilter(view_id="v1", annotated=False),
    ImageFilter(view_id="v1", without_concept=True),
    ImageFilter(view_id="v1", concept_id="c1"),
    ImageFilter(view_id="v1", reviewed=True),
    ImageFilter(view_id="v1", reviewed=False, split="train"),
    ImageFilter(view_id="v1", reviewed=True, concept_id="c1"),
    ImageFilter(view_id="v1", reviewed=False, concept_id="c1"),
)
WANTED = (
    VersionFilter(),
    VersionFilter(status="training", view_id="v1", archived=True),
    VersionFilter(name="1", model_id="m1", architecture="resnet18"),
)


def _previous(connection: Connection, as_of: int | None = None) -> object:
    version = library_queries.find_version(connection, "x3", as_of=as_of)
    return version and library_queries.find_previous(connection, version, as_of=as_of)


def _listed(connection: Connection, page: LibraryPage, as_of: int | None = None) -> Listed:
    """As it is now, what the API reads in one round trip."""
    if as_of is not None:
        return page.read(connection, as_of)
    return page.listed([fetch(connection, query) for query in page.queries()])


QUERIES: dict[Any, list[Callable[..., object]]] = {
    catalog.list_projects: [catalog.list_projects],
    catalog.find_project: [partial(catalog.find_project, project_id="p1")],
    catalog.list_views: [
        partial(catalog.list_views, project_id=one, archived=archived)
        for one in PROJECTS
        for archived in (False, True)
    ],
    catalog.find_view: [partial(catalog.find_view, view_id="v1")],
    catalog.labels_of: [partial(catalog.labels_of, view_id="v1")],
    dataset_queries.list_images: [
        *(partial(dataset_queries.list_images, project_id="p1", filters=one) for one in FILTERS),
        partial(dataset_queries.list_images, project_id="p2", newest=True, after=40, limit=2),
    ],
    dataset_queries.find_image: [
        partial(dataset_queries.find_image, image_id="i1", view_id="v1"),
    ],
    dataset_queries.find_images: [partial(dataset_queries.find_images, image_ids=IMAGES)],
    dataset_queries.count_images: [partial(dataset_queries.count_images, project_id="p1")],
    dataset_queries.count_views: [
        partial(dataset_queries.count_views, project_id="p1", view_ids=["v1"])
    ],
    groups.list_groups: [
        partial(groups.list_groups, project_id="p1", key="lens"),
        partial(groups.list_groups, project_id="p1", key="lens", torn=True, after="t", limit=2),
    ],
    groups.count_groups: [partial(groups.count_groups, project_id="p1", key="lens")],
    label_history.label_histories: [
        partial(label_history.label_histories, view_id=view, image_ids=IMAGES, since=since)
        for view, since in (("v1", 0), ("v1", 40), ("v2", 0))
    ],
    library_queries.find_previous: [_previous],
    library_queries.library: [
        partial(library_queries.library, view_id="v1"),
        partial(library_queries.library, view_id="v1", archived=True, versions_each=1, limit=1),
    ],
    library_queries.find_model: [partial(library_queries.find_model, model_id="m1")],
    library_queries.find_version: [partial(library_queries.find_version, version_id="x1")],
    library_queries.list_models: [partial(library_queries.list_models, view_id="v1")],
    library_queries.validation_sets_of: [
        partial(library_queries.validation_sets_of, view_ids=set(VIEWS))
    ],
    library_queries.versions_by_id: [partial(library_queries.versions_by_id, version_ids=VERSIONS)],
    library_revisions.list_revisions: [
        partial(library_revisions.list_revisions, filters=one) for one in WANTED
    ],
    _listed: [
        partial(_listed, page=LibraryPage("v1")),
        partial(_listed, page=LibraryPage("v1", archived=True, versions_each=1, limit=1)),
    ],
    library_queries.list_versions: [
        *(partial(library_queries.list_versions, filters=one) for one in WANTED),
        *(
            partial(
                library_queries.list_versions,
                filters=VersionFilter(archived=True),
                sort=sort,
                after="x2",
                limit=2,
            )
            for sort in SORTS
        ),
    ],
    version_progress.find_progress: [partial(version_progress.find_progress, version_id="x1")],
    version_progress.progress_by_version: [
        partial(version_progress.progress_by_version, version_ids=VERSIONS)
    ],
    evaluations.find_evaluation: [partial(evaluations.find_evaluation, version_id="x1")],
    evaluations.find_refusals: [
        partial(evaluations.find_refusals, version_id=one) for one in VERSIONS
    ],
    evaluations.find_evaluations: [partial(evaluations.find_evaluations, version_ids=VERSIONS)],
    test_evaluations.list_evaluations: [
        partial(test_evaluations.list_evaluations, version_id=one) for one in VERSIONS
    ],
    test_evaluations.newest_results: [
        partial(test_evaluations.newest_results, version_ids=VERSIONS)
    ],
    test_evaluations.count_of_view: [
        partial(test_evaluations.count_of_view, view_id=one) for one in VIEWS
    ],
}
"""Every query that can be asked as of a position, each with some of what it may be asked for."""


def test_every_query_of_the_past_is_asked() -> None:
    modules = (
        catalog,
        dataset_queries,
        evaluations,
        groups,
        label_history,
        library_queries,
        library_revisions,
        test_evaluations,
        version_progress,
    )
    found = {
        function
        for module in modules
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if not name.startswith("_") and function.__module__ == module.__name__
        if {"connection", "as_of"} <= inspect.signature(function).parameters.keys()
    }
    assert found | {_listed} == set(QUERIES)


def answers(connection: Connection, as_of: int | None) -> dict[str, object]:
    """What every query says now or, of the same read models, as of a position."""
    said: dict[str, object] = {
        f"{function.__name__} {number}": query(connection, as_of=as_of)
        for function, queries in QUERIES.items()
        for number, query in enumerate(queries)
    }
    for view in VIEWS:
        said[f"decisions in {view}"] = suspects.decisions_of(connection, IMAGES, view, upto=as_of)
        upto = EVENTS if as_of is None else as_of
        said[f"corrected in {view}"] = suspects.corrected_between(connection, view, 0, upto)
    for version in VERSIONS:
        series = metric_history.series_of(connection, version, upto=as_of)
        said[f"series of {version}"] = series
        said[f"epochs of {version}"] = flip_book.epochs_of(connection, version, upto=as_of)
        said[f"latest of {version}"] = flip_book.count_epochs(connection, version, upto=as_of)
    return said


@contextmanager
def another(postgres: EmbeddedPostgres, migrated_template: str) -> Iterator[Engine]:
    with new_database(postgres, migrated_template) as database:
        opened = engine_for(database.app_url)
        yield opened
        opened.dispose()


@pytest.mark.parametrize("seed", [1])
def test_as_of_each_position_is_a_replay_up_to_it(
    seed: int,
    engine: Engine,
    postgres: EmbeddedPostgres,
    migrated_template: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = random_history(seed, EVENTS)
    log.follow(engine)
    with another(postgres, migrated_template) as scratch:
        replay = Follower(scratch, log, READ_MODELS)
        for position in range(len(log.events) + 1):
            replay.catch_up(upto=position)
            with scratch.connect() as then, engine.connect() as now:
                assert answers(now, position) == answers(then, None), f"as of {position}"
    monkeypatch.setattr(projections.engine.follow, "PAGE", 7)
    for read_model in READ_MODELS:
        assert compare(engine, log, read_model) == []
