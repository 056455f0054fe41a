"""An import: images and annotations from a source, checked whole, then recorded or refused."""

from typing import ClassVar

import msgspec

from domain.errors import Invalid, NotFound
from domain.event import Event
from domain.library.view import KINDS
from domain.text import clean_name, refuse_controls

REQUESTED, COMPLETED, CHECKED, REFUSED, FAILED = (
    "requested",
    "completed",
    "checked",
    "refused",
    "failed",
)
AUTO = "auto"
NEGATIVE, UNANNOTATED = "negative", "unannotated"
ORIGINS = (0, 1)
MOST_FRAMES_A_SECOND = 240


class ImportRules(msgspec.Struct, frozen=True):
    """How a source is to be read and recorded.

    `format` is a format's name, or `auto`. `kind` is the view's, where the format leaves it open.
    `new_concepts` allows concepts and views that do not exist yet. `skip_bad` takes the good lines
    of a source that has bad ones. `clip` cuts boxes that reach beyond their image. `dry_run`
    changes nothing, and says what would happen. `unlabelled` is what an image becomes that the
    source lists without annotations: `negative`, without concept, or `unannotated`. `origin` is the
    coordinate of the first pixel in Pascal VOC, 0 or 1; None takes what the boxes show.
    `frame_rate` is how many frames of a video are taken a second; None takes the first of each
    scene.
    """

    format: str = AUTO
    kind: str | None = None
    new_concepts: bool = True
    skip_bad: bool = False
    clip: bool = False
    dry_run: bool = False
    unlabelled: str = NEGATIVE
    origin: int | None = None
    frame_rate: float | None = 1.0


class ImportRemark(msgspec.Struct, frozen=True):
    """What the import says of `count` images or entries: why they are left out, or how it read
    them."""

    text: str
    count: int


class ImportProblem(msgspec.Struct, frozen=True):
    """What is wrong at a place of the source, named as `file` or `file:line`."""

    where: str
    reason: str


class ImportCounts(msgspec.Struct, frozen=True):
    """Images of the source that were read, and what became of them.

    `annotated` counts pairs of image and view that had no annotations before, `reannotated` those
    that had others. `skipped` counts the problems passed over, `notes` what the format holds and
    Stemma leaves out, or reads in a way to know of, and `left_out` the images that are not taken,
    such as those of a test split.
    """

    images: int = 0
    added: int = 0
    annotated: int = 0
    reannotated: int = 0
    split_assigned: int = 0
    views: int = 0
    concepts: int = 0
    skipped: int = 0
    notes: int = 0
    left_out: int = 0


class ImportRequested(Event, frozen=True, tag="import.requested"):
    """The import of a source was requested.

    `source` is a folder or archive on the server if `on_server`, else the name of what was
    uploaded. `view` names the view of a format that holds just one.
    """

    schema_version: ClassVar[int] = 3

    project_id: str
    source: str
    on_server: bool
    view: str | None
    rules: ImportRules


class ImportCompleted(Event, frozen=True, tag="import.completed"):
    """All of the source is recorded, less what was skipped. `report` is the sha256 of the list of
    problems, images left out and notes, if there are any; `summary` counts all but the problems by
    their text."""

    schema_version: ClassVar[int] = 2

    format: str
    counts: ImportCounts
    report: str | None
    summary: tuple[ImportRemark, ...] = ()


class ImportChecked(Event, frozen=True, tag="import.checked"):
    """A dry run found that this would happen; nothing did."""

    schema_version: ClassVar[int] = 2

    format: str
    counts: ImportCounts
    report: str | None
    summary: tuple[ImportRemark, ...] = ()


class ImportRefused(Event, frozen=True, tag="import.refused"):
    """The source has problems, the first of them listed; nothing of it is recorded."""

    reason: str
    problems: int
    first: tuple[ImportProblem, ...]
    report: str | None


class ImportFailed(Event, frozen=True, tag="import.failed"):
    """The import broke off, for a reason that is not in the source's lines.

    What it had recorded stays; a new request goes on from there.
    """

    reason: str


Ending = ImportCompleted | ImportChecked | ImportRefused | ImportFailed

_STATUS = {
    ImportCompleted: COMPLETED,
    ImportChecked: CHECKED,
    ImportRefused: REFUSED,
    ImportFailed: FAILED,
}


class Import(msgspec.Struct, frozen=True):
    requested: ImportRequested
    status: str = REQUESTED


class RequestImport(msgspec.Struct, frozen=True):
    project_id: str
    source: str
    on_server: bool
    view: str | None
    rules: ImportRules


class EndImport(msgspec.Struct, frozen=True):
    ending: Ending


def evolve(state: Import | None, event: Event) -> Import | None:
    match event, state:
        case ImportRequested(), _:
            return Import(event)
        case ImportCompleted() | ImportChecked() | ImportRefused() | ImportFailed(), Import():
            return msgspec.structs.replace(state, status=_STATUS[type(event)])
    return state


def decide(command: RequestImport | EndImport, state: Import | None) -> list[Event]:
    """An import ends once: ending it again is no event."""
    if isinstance(command, RequestImport):
        return _request(command)
    return [command.ending] if require(state).status == REQUESTED else []


def refuse_unknown_format(rules: ImportRules, formats: frozenset[str]) -> None:
    """Raises `Invalid` for a format that is none of `formats`."""
    if rules.format not in formats | {AUTO}:
        raise Invalid(
            f"format is {rules.format!r}; it must be {AUTO} or one of {', '.join(sorted(formats))}",
            field="format",
        )


def _request(command: RequestImport) -> list[Event]:
    rules = command.rules
    if rules.kind is not None and rules.kind not in KINDS:
        raise Invalid(f"kind must be one of {', '.join(KINDS)}, got {rules.kind!r}", field="kind")
    if rules.unlabelled not in (NEGATIVE, UNANNOTATED):
        raise Invalid(
            f"unlabelled is {rules.unlabelled!r}; it must be {NEGATIVE} or {UNANNOTATED}",
            field="unlabelled",
        )
    if rules.origin is not None and rules.origin not in ORIGINS:
        raise Invalid(f"origin is {rules.origin}; it must be 0 or 1", field="origin")
    if rules.frame_rate is not None and not 0 < rules.frame_rate <= MOST_FRAMES_A_SECOND:
        raise Invalid(
            f"frame_rate is {rules.frame_rate:g}; it must be above 0 and at most"
            f" {MOST_FRAMES_A_SECOND} frames a second",
            field="frame_rate",
        )
    if not command.source:
        raise Invalid("source is empty; name an archive or a folder", field="source")
    refuse_controls(command.source, "source")
    view = None if command.view is None else clean_name(command.view, "view")
    return [
        ImportRequested(command.project_id, command.source, command.on_server, view, rules),
    ]


def require(state: Import | None) -> Import:
    if state is None:
        raise NotFound("import not found")
    return state
