"""What the routes of suspects take and answer with."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from api.flip_book.suspect_list import DecidedSuspect, SuspectList
from api.http.schemas import Strict
from domain.dataset.annotation import Annotation, Box

State = Literal["open", "unsure", "upheld", "corrected", "changed"]
ShownState = Literal["open", "unsure", "upheld", "corrected", "changed", "all"]
Decision = Literal["upheld", "unsure", "corrected"]

_DECIMALS = 6


class NewDecision(Strict, frozen=True, kw_only=True):
    """A decision about one suspect.

    With `corrected`, `annotations` are all that the image is to have in the view; without them, it
    gets the suspect's suggestion.
    """

    decision: Decision
    annotations: list[Annotation] | None = None
    without_concept: bool = False


class Correction(Strict, frozen=True, kw_only=True):
    """A suspect's key, and all annotations that its image is to have in the view."""

    item: str
    annotations: list[Annotation] = msgspec.field(default_factory=list)
    without_concept: bool = False


class NewDecisions(Strict, frozen=True, kw_only=True):
    """Decisions about several suspects: all are recorded, or none.

    `items` are the keys of suspects with the same decision; with `corrected`, their images get the
    suggestions. `corrections` are suspects that are corrected by other annotations.
    """

    decision: Decision
    items: Annotated[list[str], Meta(max_length=10_000)] = msgspec.field(default_factory=list)
    corrections: Annotated[list[Correction], Meta(max_length=10_000)] = msgspec.field(
        default_factory=list
    )


class SuggestionView(msgspec.Struct, frozen=True):
    """The correction that the model suggests: `relabel` to this concept, `add` it, `remove` it, or
    `move` the box here."""

    action: str
    concept_id: str
    label: str
    box: Box | None


class DecisionView(msgspec.Struct, frozen=True):
    """Who decided, when, and on the list of which version."""

    decision: Decision
    version_id: str
    decided_by: str
    decided_at: datetime


class SuspectView(msgspec.Struct, frozen=True):
    """A label that deserves a second look; it may be right: rare labels look wrong, too.

    With `present`, it is doubtful that the image has the concept, in detection at the box;
    otherwise, that the image lacks it. `rank` counts from 1 within the split. A lower `score` is
    more suspect: `measure` is `aum`, `confidence` or `label_quality`. `state` is `changed` if the
    label was changed since the version was frozen, but not from a list of suspects.
    """

    item: str
    image_id: str
    file_name: str
    split: str
    rank: int
    score: float
    measure: str
    reason: str
    concept_id: str
    label: str
    present: bool
    box: Box | None
    suggestion: SuggestionView
    state: State
    decision: DecisionView | None


class StateCounts(msgspec.Struct, frozen=True):
    """The number of suspects in each state, in both splits."""

    open: int
    unsure: int
    upheld: int
    corrected: int
    changed: int


class SuspectsView(msgspec.Struct, frozen=True):
    """A page of suspects; pass `next` as `cursor` for the next page.

    `count` is the number of matches, `counts` are of all suspects. `notes` explain why a split has
    none. `complete` is false while those of the validation images are being computed.
    """

    version_id: str
    items: list[SuspectView]
    count: int
    counts: StateCounts
    complete: bool
    notes: list[str]
    next: str | None
    position: int


class OneSuspectView(msgspec.Struct, frozen=True):
    item: SuspectView
    position: int


def suspect_view(
    suspects: SuspectList, decided: DecidedSuspect, names: dict[str, str]
) -> SuspectView:
    suspect, labels = decided.suspect, suspects.labels
    suggestion, row = suspect.suggestion, decided.decision
    return SuspectView(
        item=suspect.item,
        image_id=suspect.image_id,
        file_name=names.get(suspect.image_id, ""),
        split=suspect.split,
        rank=suspect.rank,
        score=round(suspect.score, _DECIMALS),
        measure=suspect.measure,
        reason=suspect.reason,
        concept_id=suspect.label.concept_id,
        label=labels[suspect.label.concept_id],
        present=suspect.label.present,
        box=_rounded(suspect.label.box),
        suggestion=SuggestionView(
            suggestion.action,
            suggestion.concept_id,
            labels[suggestion.concept_id],
            _rounded(suggestion.box),
        ),
        state=msgspec.convert(decided.state, State),
        decision=None
        if row is None
        else DecisionView(
            msgspec.convert(row.decision, Decision),
            row.version_id,
            row.decided_by,
            row.decided_at,
        ),
    )


def _rounded(box: Box | None) -> Box | None:
    if box is None:
        return None
    return Box(*(round(side, _DECIMALS) for side in msgspec.structs.astuple(box)))
