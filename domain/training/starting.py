"""Initial weights of a training: pretrained weights, or the checkpoint of an earlier version."""

from domain.errors import Invalid
from domain.training.messages import InitialWeights
from domain.training.options import TrainingOptions
from domain.training.version import ENDED, FAILED, Version

CANCELLED = "cancelled"
WITHOUT_WEIGHTS = frozenset({FAILED, CANCELLED})
"""Statuses of versions without usable weights, even if a checkpoint was saved."""


def from_version(version: Version | None, view_id: str, options: TrainingOptions) -> InitialWeights:
    """The checkpoint of the version that `options.start_from` names; `version` is what it is.

    Raises `Invalid` if no training can start from the version.
    """
    named = options.start_from or ""
    if version is None or version.created.view_id != view_id:
        raise _refused(f"this view has no version {named!r}; choose one of its own")
    theirs = version.created.built_in("its weights cannot start another training").architecture
    if theirs != options.architecture:
        raise _refused(
            f"{version.name!r} is a {theirs}, and the new one is a {options.architecture}; choose a"
            " version of the same architecture"
        )
    if version.status not in ENDED:
        raise _refused(f"{version.name!r} is {version.status}; wait until it has ended")
    if version.status in WITHOUT_WEIGHTS or version.best is None:
        raise _refused(f"{version.name!r} is {version.status} and has no checkpoint to start from")
    concepts = tuple(concept.concept_id for concept in version.created.concepts)
    return InitialWeights(version.best.checkpoint, named, concepts)


def _refused(detail: str) -> Invalid:
    return Invalid(detail, field="start_from")
