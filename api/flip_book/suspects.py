"""Routes of suspects: the list of a version, one of them, CSV, and decisions."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from litestar import Controller, Response, get, post, put
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.response import Stream

from adapters.evaluation.csv_rows import Cell, csv_pieces
from api.access.rights import needs
from api.backend import Backend
from api.dataset.schemas import NewImageAnnotations
from api.flip_book.suspect_list import DecidedSuspect, SuspectList, find_suspects
from api.flip_book.suspect_views import (
    NewDecision,
    NewDecisions,
    OneSuspectView,
    ShownState,
    StateCounts,
    SuspectsView,
    SuspectView,
    suspect_view,
)
from api.http.commands import CommandResult, carry_out
from api.http.parameters import AsOf, AtLeast, Cursor, HttpRequest, Limit, Served, position_in
from api.http.schemas import Split
from application.dataset.suspects import SuspectCommand, decide_suspects
from domain.access.roles import Right
from domain.dataset.image import AnnotateImage
from domain.dataset.suspects import CORRECTED, CorrectSuspect, DecideSuspect, TakeSuggestion
from domain.errors import Invalid
from projections.dataset.dataset import DATASET
from projections.dataset.queries import file_names

_OWN = ("item", "image_id", "file_name", "split", "rank", "score", "measure", "reason")
_SUGGESTED = ("action", "concept_id", "label")
_DECIDED = ("decision", "version_id", "decided_by", "decided_at")
_SIDES = ("x", "y", "width", "height")
_COLUMNS = [
    *_OWN,
    "concept_id",
    "label",
    "present",
    *_SIDES,
    *(f"suggested_{name}" for name in (*_SUGGESTED, *_SIDES)),
    "state",
    "decision",
    "decided_from_version",
    "decided_by",
    "decided_at",
]

Sort = Literal["rank", "concept", "item"]
StateQuery = Annotated[
    ShownState, QueryParameter(name="state", description="Those in this state, or `all`")
]


class SuspectController(Controller):
    """Labels that deserve a second look, and the decisions about them."""

    path = "/versions/{version_id:str}"
    tags = ("Suspects",)

    @get(
        "/suspects",
        summary="A version's suspects",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def list_suspects(
        self,
        backend: Served,
        version_id: FromPath[str],
        split: FromQuery[Split | None] = None,
        concept: FromQuery[str | None] = None,
        shown: StateQuery = "open",
        image: FromQuery[str | None] = None,
        sort: FromQuery[Sort] = "rank",
        cursor: Cursor = None,
        limit: Limit = 50,
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> SuspectsView:
        """Training images are ranked by how they were learned, validation images by cleanlab.

        A label that was upheld or left unsure is not listed again until it changes, unless `state`
        selects it. `concept` is the doubted concept. Erased images are left out, also for past
        moments.
        """
        suspects = find_suspects(backend, version_id, at_least=at_least, as_of=as_of)
        if concept is not None and concept not in suspects.labels:
            raise Invalid("this is not a concept of the version", field="concept")
        chosen = [
            each
            for each in suspects.suspects
            if split in {None, each.suspect.split}
            and concept in {None, each.suspect.label.concept_id}
            and image in {None, each.suspect.image_id}
            and shown in {"all", each.state}
        ]
        if sort != "rank":
            chosen.sort(key=lambda each: _key(suspects, each, sort))
        start = position_in(cursor) or 0
        page = chosen[start : start + limit]
        following = str(start + limit) if len(chosen) > start + limit else None
        return SuspectsView(
            version_id,
            _views(backend, suspects, page),
            len(chosen),
            StateCounts(**suspects.counts),
            suspects.complete,
            suspects.notes,
            following,
            suspects.position,
        )

    @get(
        "/suspects.csv",
        summary="A version's suspects as CSV",
        media_type="text/csv",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def get_suspects_csv(
        self, backend: Served, version_id: FromPath[str], as_of: AsOf = None
    ) -> Stream:
        """A row for each suspect, by rank, in any state."""
        suspects = find_suspects(backend, version_id, as_of=as_of)
        name = f"version-{suspects.version.number}-suspects.csv"
        return Stream(
            csv_pieces(_COLUMNS, _rows(_views(backend, suspects, suspects.suspects))),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    @get(
        "/suspects/{item:str}",
        summary="One suspect",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def get_suspect(
        self,
        backend: Served,
        version_id: FromPath[str],
        item: FromPath[str],
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> OneSuspectView:
        """A suspect by its key, in any state."""
        suspects = find_suspects(backend, version_id, at_least=at_least, as_of=as_of)
        (view,) = _views(backend, suspects, [suspects.find(item)])
        return OneSuspectView(view, suspects.position)

    @put(
        "/suspects/{item:str}/decision",
        summary="Decide about a suspect",
        sync_to_thread=True,
        opt=needs(Right.ANNOTATE, of="version_id"),
    )
    def decide_suspect(
        self,
        backend: Served,
        request: HttpRequest,
        version_id: FromPath[str],
        item: FromPath[str],
        data: JSONBody[NewDecision],
    ) -> Response[CommandResult]:
        """Uphold the label, leave it unsure, or correct it; the answer's revision is the image's.

        The decision is an event of the image and names this version. It holds until the label
        changes.
        """
        suspects = find_suspects(backend, version_id)
        corrected = None
        if data.annotations is not None or data.without_concept:
            if data.decision != CORRECTED:
                raise Invalid("annotations are for corrections only", field="annotations")
            corrected = AnnotateImage(
                suspects.version.view_id, tuple(data.annotations or ()), data.without_concept
            )
        command = _command(suspects, item, data.decision, corrected)
        return _carry_out(backend, request, suspects, data, [command])

    @put(
        "/suspects/{item:str}/annotations",
        summary="Annotate the image of a suspect",
        sync_to_thread=True,
        opt=needs(Right.ANNOTATE, of="version_id"),
    )
    def correct_suspect(
        self,
        backend: Served,
        request: HttpRequest,
        version_id: FromPath[str],
        item: FromPath[str],
        data: JSONBody[NewImageAnnotations],
    ) -> Response[CommandResult]:
        """Save all annotations of the image of a suspect.

        If they replace the doubted label, an event records the correction; otherwise only the
        annotations are saved.
        """
        suspects = find_suspects(backend, version_id)
        suspect = suspects.find(item).suspect
        annotated = AnnotateImage(
            suspects.version.view_id, tuple(data.annotations), data.without_concept
        )
        command = CorrectSuspect(version_id, suspect.label, annotated, must_replace=False)
        return _carry_out(backend, request, suspects, data, [(suspect.image_id, command)])

    @post(
        "/suspects/decisions",
        summary="Decide about suspects",
        status_code=200,
        sync_to_thread=True,
        opt=needs(Right.ANNOTATE, of="version_id"),
    )
    def decide_suspects(
        self,
        backend: Served,
        request: HttpRequest,
        version_id: FromPath[str],
        data: JSONBody[NewDecisions],
    ) -> Response[CommandResult]:
        """One decision about many suspects: all are recorded, or none if one is refused."""
        suspects = find_suspects(backend, version_id)
        if data.corrections and data.decision != CORRECTED:
            raise Invalid("annotations are for corrections only", field="corrections")
        view_id = suspects.version.view_id
        commands = [_command(suspects, item, data.decision, None) for item in data.items]
        commands += [
            _command(
                suspects,
                each.item,
                data.decision,
                AnnotateImage(view_id, tuple(each.annotations), each.without_concept),
            )
            for each in data.corrections
        ]
        return _carry_out(backend, request, suspects, data, commands)


def _command(
    suspects: SuspectList, item: str, decision: str, annotate: AnnotateImage | None
) -> tuple[str, SuspectCommand]:
    """The image of a suspect, and the command that decides about it. Raises `NotFound`."""
    suspect, version = suspects.find(item).suspect, suspects.version
    view_id, version_id = version.view_id, version.version_id
    command: SuspectCommand
    if decision != CORRECTED:
        command = DecideSuspect(view_id, version_id, suspect.label, decision)
    elif annotate is None:
        command = TakeSuggestion(view_id, version_id, suspect.label, suspect.suggestion)
    else:
        command = CorrectSuspect(version_id, suspect.label, annotate)
    return suspect.image_id, command


def _carry_out(
    backend: Backend,
    request: HttpRequest,
    suspects: SuspectList,
    content: object,
    commands: Sequence[tuple[str, SuspectCommand]],
) -> Response[CommandResult]:
    view_id = suspects.version.view_id
    return carry_out(
        backend, request, content, lambda session: decide_suspects(session, view_id, commands)
    )


def _views(
    backend: Backend, suspects: SuspectList, page: Sequence[DecidedSuspect]
) -> list[SuspectView]:
    with backend.reading(None, DATASET) as (connection, _):
        names = file_names(connection, {each.suspect.image_id for each in page})
    return [suspect_view(suspects, each, names) for each in page]


def _key(suspects: SuspectList, each: DecidedSuspect, sort: str) -> tuple[str, int]:
    suspect = each.suspect
    first = suspects.labels[suspect.label.concept_id] if sort == "concept" else suspect.item
    return first, suspect.rank


def _rows(views: Sequence[SuspectView]) -> Iterator[list[Cell]]:
    for view in views:
        row: list[Cell] = [getattr(view, name) for name in _OWN]
        row += [view.concept_id, view.label, int(view.present)]
        row += [None if view.box is None else getattr(view.box, side) for side in _SIDES]
        suggestion, decision = view.suggestion, view.decision
        row += [getattr(suggestion, name) for name in _SUGGESTED]
        row += [
            None if suggestion.box is None else getattr(suggestion.box, side) for side in _SIDES
        ]
        row.append(view.state)
        if decision is None:
            row += [None] * len(_DECIDED)
        else:
            row += [decision.decision, decision.version_id, decision.decided_by]
            row.append(decision.decided_at.isoformat())
        yield row
