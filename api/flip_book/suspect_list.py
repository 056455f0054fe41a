"""A version's suspects, each with what was decided about it."""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import Connection

from adapters.flip_book.suspects import Suspect, on_images
from api.backend import Backend
from api.evaluation.evaluated import PredictionsGone, find_evaluated
from api.flip_book.book import ItemsGone, find_flip_book, require_version
from domain.dataset.annotation import DoubtedLabel
from domain.dataset.suspects import CORRECTED, UNSURE, UPHELD
from domain.errors import Conflict, NotFound, Refusal
from projections.dataset.dataset import DATASET
from projections.dataset.erasures import ERASURES, erased_among
from projections.dataset.label_history import LabelHistory, label_histories
from projections.flip_book.suspects import SUSPECTS, DecisionRow, decisions_of
from projections.training.library_queries import VersionRow
from projections.training.models_library import MODELS_LIBRARY

OPEN, CHANGED = "open", "changed"
STATES = (OPEN, UNSURE, UPHELD, CORRECTED, CHANGED)

SHOWN = (MODELS_LIBRARY, DATASET, SUSPECTS, ERASURES)
"""The read models of what was decided."""


class DecidedSuspect(msgspec.Struct, frozen=True):
    """A suspect and its state: open, unsure, upheld, corrected, or changed without a decision."""

    suspect: Suspect
    state: str
    decision: DecisionRow | None


class SuspectList(msgspec.Struct, frozen=True):
    """A version's suspects by rank.

    `notes` explain why a split has none. `complete` is false while those of the validation images
    are being computed.
    """

    version: VersionRow
    suspects: list[DecidedSuspect]
    complete: bool
    notes: list[str]
    position: int

    @property
    def labels(self) -> dict[str, str]:
        """The labels of the version's concepts at its training, by id."""
        return {concept.concept_id: concept.label for concept in self.version.concepts}

    @property
    def counts(self) -> dict[str, int]:
        """The number of suspects in each state."""
        counter = Counter(each.state for each in self.suspects)
        return {state: counter[state] for state in STATES}

    def find(self, item: str) -> DecidedSuspect:
        """The suspect of a key. Raises `NotFound`."""
        for each in self.suspects:
            if each.suspect.item == item:
                return each
        raise NotFound(
            f"the version has no suspect {item!r}; its list has the keys of all", field="item"
        )


def find_suspects(
    backend: Backend, version_id: str, *, at_least: int | None = None, as_of: str | None = None
) -> SuspectList:
    """A version's suspects. Raises `NotFound`, and `Conflict` or `Gone` if it can have none."""
    with backend.reading_as_of(as_of, at_least, *SHOWN) as (connection, position, at):
        version = require_version(connection, version_id, at)
    labels = {concept.concept_id: concept.label for concept in version.concepts}
    suspects: list[Suspect] = []
    refusals: list[Refusal] = []
    complete, of_validation = True, False
    try:
        recorded, of_validation = _recorded(backend, version_id, labels, as_of)
        suspects += recorded
    except (Conflict, ItemsGone) as refusal:
        refusals.append(refusal)
    if not of_validation:
        try:
            evaluated = _evaluated(backend, version_id, labels, as_of)
            complete = evaluated is not None
            suspects += evaluated or []
        except (Conflict, PredictionsGone) as refusal:
            refusals.append(refusal)
    if len(refusals) == 2:
        raise refusals[0]
    suspects.sort(key=lambda suspect: (suspect.rank, suspect.split))
    if version.options.crops and version.manifest is not None:
        suspects = on_images(suspects, backend.crops.of(version.manifest))
    with backend.reading_as_of(as_of, None, *SHOWN) as (connection, _, at):
        decided = _with_states(connection, version, suspects, at)
    notes = [str(refusal) for refusal in refusals]
    return SuspectList(version, decided, complete, notes, position)


def _recorded(
    backend: Backend, version_id: str, labels: Mapping[str, str], as_of: str | None
) -> tuple[list[Suspect], bool]:
    """The suspects that follow from the recorded epochs, and whether these are of validation
    images, too. Raises `Conflict` or `ItemsGone`."""
    flip_book = find_flip_book(backend, version_id, as_of=as_of)
    book = flip_book.book
    suspects = backend.rankings.recorded(version_id, flip_book.digests, book, labels)
    return suspects, book.detects and not book.items.train.all()


def _evaluated(
    backend: Backend, version_id: str, labels: Mapping[str, str], as_of: str | None
) -> list[Suspect] | None:
    """The suspects among validation images, by the predictions of the saved checkpoint; None while
    they are computed. Raises `Conflict` or `PredictionsGone`."""
    evaluated = find_evaluated(backend, version_id, as_of=as_of)
    digest, predictions = evaluated.evaluation.predictions, evaluated.predictions
    assert digest is not None
    suspects = backend.rankings.validation(version_id, digest, predictions, labels)
    if suspects is None and backend.rankings.has_failed(digest):
        raise Conflict("the label quality of its validation images cannot be computed")
    return suspects


def _with_states(
    connection: Connection, version: VersionRow, suspects: Sequence[Suspect], at: int | None
) -> list[DecidedSuspect]:
    """The suspects with their states; those of erased images are left out, at any moment."""
    image_ids = {suspect.image_id for suspect in suspects}
    image_ids -= erased_among(connection, image_ids)
    decisions = decisions_of(connection, image_ids, version.view_id, upto=at)
    first = min((rows[0].position for rows in decisions.values()), default=version.log_position)
    histories = label_histories(
        connection,
        version.view_id,
        image_ids,
        since=min(first, version.log_position),
        as_of=at,
    )
    return [
        DecidedSuspect(
            suspect,
            *_state(
                suspect.label,
                decisions.get(suspect.image_id, []),
                histories.get(suspect.image_id, LabelHistory([])),
                version.log_position,
            ),
        )
        for suspect in suspects
        if suspect.image_id in image_ids
    ]


def _state(
    label: DoubtedLabel,
    decisions: Sequence[DecisionRow],
    history: LabelHistory,
    frozen: int,
) -> tuple[str, DecisionRow | None]:
    """A label's state, and the decision behind it.

    Upheld or unsure holds for as long as the image has had the label since. A label that the image
    has lost since the version was frozen is corrected if a decision says so.
    """
    if history.current is not None and label.holds(history.current):
        for decision in reversed(decisions):
            if decision.decision == CORRECTED or not decision.label.is_about(label):
                continue
            spans = history.since(decision.position)
            if spans is not None and all(label.holds(span.annotations) for span in spans):
                return decision.decision, decision
            break
        return OPEN, None
    for decision in reversed(decisions):
        if decision.decision == CORRECTED and decision.position > frozen:
            return CORRECTED, decision
    return CHANGED, None
