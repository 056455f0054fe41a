"""Erasing images: the command, what is done about the bytes, and what it makes impossible.

All images of the same bytes are erased together. The events come first; `react` deletes the bytes
and may be repeated. Adding an image reads the stream of its blob, so none comes in unseen.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import msgspec

from application.dataset.dataset import parents_at
from application.handle import Decided, Request, Session, handle
from application.log.store import Store
from domain.access.roles import Grants, Right
from domain.aggregates import BLOB, IMAGE, PROJECT
from domain.dataset import image as images
from domain.dataset import project as projects
from domain.dataset.blob import Blob, BlobErasureOrdered, ConfirmErasure, OrderErasure
from domain.dataset.image import EraseImage, Image, ImageErased
from domain.dataset.items import image_id_of
from domain.dataset.project import ProjectCreated
from domain.errors import Conflict, Forbidden
from domain.event import Recorded, name_of
from domain.training import manifest
from domain.training.manifest import PlacedImage
from domain.training.version import VersionCreated

ACTOR = "eraser"
REACTS_TO = [name_of(BlobErasureOrdered)]


def erase_image(
    session: Session, image_id: str, command: EraseImage, held: Grants
) -> Decided[Image]:
    """Erase an image. If others hold the same bytes, raises `Conflict`, naming those projects that
    may be seen, unless the command says `everywhere`, and then `Forbidden` unless all may be
    administered."""
    image = session.get(IMAGE, image_id)
    if image is not None:
        session.check_revision(IMAGE, image_id)
    events = images.decide(command, image)
    if image is None or not events:
        return Decided(IMAGE, image_id)
    sharing = _sharing(session, image.blob)
    others = sorted({other.project_id for other in sharing.values()} - {image.project_id})
    if others and not command.everywhere:
        raise Conflict(
            f"the same bytes are an image of {_names(session, others, held)} too: set"
            " `everywhere` (`--everywhere`) to erase it there as well",
            field="everywhere",
        )
    if not all(held.may(Right.ADMINISTER, other) for other in others):
        raise Forbidden(
            "the same bytes are an image of projects that you do not administer: ask an"
            " administrator of all projects",
            field="everywhere",
        )
    _erase_all(session, sharing, command)
    session.decide(BLOB, image.blob, OrderErasure(command.reason.strip()))
    return Decided(IMAGE, image_id)


def _names(session: Session, others: Sequence[str], held: Grants) -> str:
    """The names of the projects that the caller may see, and the number of the others."""
    seen = [key for key in others if held.may(Right.READ, key)]
    names = [repr(projects.require(session.get(PROJECT, key)).name) for key in seen]
    unseen = len(others) - len(seen)
    if unseen:
        names.append(f"{unseen} project{'s' if unseen > 1 else ''} that you cannot see")
    return ", ".join(names)


def _sharing(session: Session, blob: str) -> dict[str, Image]:
    """The images of all projects that have these bytes and are not erased, by id."""
    names = [name_of(ProjectCreated)]
    made = session.store.read_all(upto=session.position, names=names)
    ids = [images.image_id(recorded.entity_id, blob) for recorded in made]
    candidates = session.get_many(IMAGE, ids)
    return {key: image for key, image in candidates.items() if image and image.erased is None}


def _erase_all(session: Session, sharing: Iterable[str], command: EraseImage) -> None:
    for image_id in sharing:
        session.decide(IMAGE, image_id, command)


def react(store: Store, erase_bytes: Callable[[str], None], recorded: Recorded) -> None:
    """Run an erasure: `erase_bytes` deletes everything stored for a digest, or raises."""
    if not isinstance(recorded.event, BlobErasureOrdered):
        return
    digest, command = recorded.entity_id, EraseImage(recorded.event.reason, everywhere=True)

    def rest(session: Session) -> Decided[Blob]:
        # A project created during the decision was not checked.
        _erase_all(session, _sharing(session, digest), command)
        return Decided(BLOB, digest)

    handle(store, _request(recorded, "images"), rest)
    erase_bytes(digest)
    handle(
        store,
        _request(recorded, "bytes"),
        lambda session: session.decide(BLOB, digest, ConfirmErasure()),
    )


def _request(recorded: Recorded, step: str) -> Request:
    return Request(
        actor=ACTOR,
        command_id=f"erasure:{recorded.entity_id}:{step}",
        correlation_id=recorded.metadata.correlation_id,
        causation_id=recorded.metadata.event_id,
    )


def orders(store: Store) -> Iterator[Recorded]:
    """All ordered erasures; the digest is the event's entity."""
    return store.read_all(names=REACTS_TO)


def erased_among(store: Store, digests: Collection[str]) -> dict[str, Blob]:
    """The erased blobs among these digests, also those ordered to be erased."""
    streams = store.streams([BLOB.stream(digest) for digest in digests])
    erased: dict[str, Blob] = {}
    for events in streams.values():
        blob = BLOB.fold(recorded.event for recorded in events)
        if blob is not None:
            erased[events[0].entity_id] = blob
    return erased


class ErasedImage(msgspec.Struct, frozen=True):
    """An image of a version's dataset that was erased later."""

    image_id: str
    reason: str


def erased_of(store: Store, created: VersionCreated) -> list[ErasedImage]:
    """The erased images of a version's manifest: without them it cannot be trained again."""
    reasons = {
        recorded.entity_id: recorded.event.reason
        for recorded in store.read_all(names=[name_of(ImageErased)])
        if isinstance(recorded.event, ImageErased)
    }
    lines = manifest.manifest(
        _as_they_were(store, reasons, created),
        created.view_id,
        created.kind,
        frozenset(concept.concept_id for concept in created.concepts),
        negative_validation=created.negative_validation,
        reviewed_only=created.reviewed_only,
        parents=parents_at(store, created.view_id, created.log_position),
    )
    image_ids = dict.fromkeys(image_id_of(line.image) for line in lines)
    return [ErasedImage(image_id, reasons[image_id]) for image_id in image_ids]


def _as_they_were(
    store: Store, image_ids: Collection[str], created: VersionCreated
) -> Iterator[PlacedImage]:
    streams = store.streams([IMAGE.stream(key) for key in image_ids], upto=created.log_position)
    for events in streams.values():
        image = IMAGE.fold(recorded.event for recorded in events)
        if image and not image.removed and image.project_id == created.project_id:
            yield PlacedImage(events[0].entity_id, image, len(events))


def refuse_if_erased(store: Store, created: VersionCreated) -> None:
    """Raises `Conflict`, with an image's id, if the dataset of a version is incomplete."""
    erased = erased_of(store, created)
    if erased:
        more = f" and {len(erased) - 1} more" if len(erased) > 1 else ""
        raise Conflict(
            f"image {erased[0].image_id}{more} of the version's dataset was erased (reason:"
            f" {erased[0].reason}), so the version cannot be trained again; train a new version"
        )
