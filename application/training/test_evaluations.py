"""Requests of evaluations on the test set, and what follows from the log for them."""

import hashlib
from collections.abc import Iterator

from application.dataset.dataset import images_at, parents_at
from application.handle import Decided, Session
from application.log.store import Store
from application.training.trainers import is_predicted_by_trainer
from domain.aggregates import VERSION, VIEW
from domain.event import name_of
from domain.library import view as views
from domain.training import manifest
from domain.training import version as versions
from domain.training.messages import ManifestLine, Purpose
from domain.training.predictions import (
    RequestTestEvaluation,
    VersionTestEvaluationFailed,
    VersionTestEvaluationRequested,
)
from domain.training.version import Version, VersionCreated

_COUNTED = [name_of(VersionTestEvaluationRequested), name_of(VersionTestEvaluationFailed)]


def request_test_evaluation(session: Session, version_id: str, reason: str) -> Decided[Version]:
    """Order the evaluation of a version on the test set as it is now.

    Requests for one view are to be decided one at a time: each says how many were before it.
    """
    version = versions.require(session.get(VERSION, version_id))
    views.require_active(session.get(VIEW, version.created.view_id))
    versions.check_can_predict(version, Purpose.TEST)
    by_trainer = is_predicted_by_trainer(session, version)
    position = session.position
    digest, images = hashlib.sha256(), 0
    for line in manifest_of_test_set(session.store, version.created, position):
        digest.update(manifest.canonical_line(line))
        images += 1
    command = RequestTestEvaluation(
        reason,
        digest.hexdigest(),
        images,
        position,
        _evaluations_of(session.store, version.created.view_id, position),
        by_trainer,
    )
    return session.change(VERSION, version_id, command)


def manifest_of_test_set(
    store: Store, created: VersionCreated, log_position: int
) -> Iterator[ManifestLine]:
    """The test images of a version's view and concepts at a position, from the log alone."""
    return manifest.manifest(
        images_at(store, created.project_id, log_position),
        created.view_id,
        created.kind,
        frozenset(concept.concept_id for concept in created.concepts),
        negative_validation=created.negative_validation,
        reviewed_only=False,
        tests=True,
        parents=parents_at(store, created.view_id, log_position),
    )


def _evaluations_of(store: Store, view_id: str, upto: int) -> int:
    """How many evaluations on the test set were requested for a view and have not failed."""
    requested: set[tuple[str, int]] = set()
    for recorded in store.read_all(upto=upto, names=_COUNTED):
        event = recorded.event
        if isinstance(event, VersionTestEvaluationRequested) and event.view_id == view_id:
            requested.add((recorded.stream, event.number))
        elif isinstance(event, VersionTestEvaluationFailed):
            requested.discard((recorded.stream, event.number))
    return len(requested)
