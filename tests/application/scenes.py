"""What tests of the write side share: requests, hand-made records, and a view ready to train."""

import hashlib
import itertools
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from application import views
from application.dataset import projects
from application.handle import Decided, Outcome, Request, Session, handle, new_metadata
from application.log.store import Store
from application.training import versions
from domain.access.roles import Grants, Role
from domain.aggregates import VIEW
from domain.dataset.image import AddImage, AnnotateImage, Annotation
from domain.dataset.splits import DrawSplit
from domain.errors import Conflict
from domain.event import Event, Recorded
from domain.library.view import require

Result = TypeVar("Result")
OPTIONS: dict[str, object] = {"architecture": "resnet18", "width": 32, "height": 32}

EVERYTHING = Grants(everywhere=frozenset({Role.ADMINISTRATOR}))
"""What an administrator may."""


def request(
    command_id: str | None = None, *, expected: int | None = None, fingerprint: str = ""
) -> Request:
    """A request of a user's, under a fresh command id unless one is given."""
    fresh = command_id or str(uuid.uuid4())
    return Request(
        actor="user:ada",
        command_id=fresh,
        correlation_id=f"correlation of {fresh}",
        expected_revision=expected,
        fingerprint=fingerprint,
    )


def do(store: Store, decide: Callable[[Session], Decided[Any]]) -> Outcome:
    """Carry a command out under a fresh id."""
    return handle(store, request(), decide)


def insist(store: Store, decide: Callable[[Session], Decided[Any]]) -> Outcome:
    """As `do`, for as long as it is refused because others keep changing the same things."""
    while True:
        try:
            return do(store, decide)
        except Conflict as refused:
            if "try again" not in refused.detail:
                raise


def recorded(stream: str, revision: int, event: Event) -> Recorded:
    """An event that happens now, by nobody's command."""
    return Recorded(stream, revision, event, new_metadata("test", "command", "correlation", None))


def at_once(actions: Sequence[Callable[[], Result]]) -> list[Result]:
    """Run each in a thread of its own; their results in order, or the first one's exception."""
    with ThreadPoolExecutor(len(actions)) as pool:
        futures = [pool.submit(action) for action in actions]
    return [future.result() for future in futures]


class Scene:
    """A project with a classification view of two concepts, and as many images as a test adds."""

    def __init__(self, store: Store, *, images: int = 0) -> None:
        self.store = store
        self.project = do(store, lambda s: projects.create_project(s, "Digits")).id
        self.view = do(
            store, lambda s: views.create_view(s, self.project, "which", "classification")
        ).id
        self.concepts = self.add_concepts("zero", "one")
        self._names = itertools.count()
        self.images = self.add_images(images) if images else ()

    def add_concepts(self, *labels: str) -> tuple[str, ...]:
        return insist(self.store, lambda s: views.add_concepts(s, self.view, labels)).ids

    def add_images(self, count: int) -> tuple[str, ...]:
        """Images annotated with the two concepts in turn."""
        numbers = [next(self._names) for _ in range(count)]
        additions = [
            AddImage(self.project, hashlib.sha256(b"%d" % n).hexdigest(), 8, 8, f"{n}.png")
            for n in numbers
        ]
        ids = do(self.store, lambda s: projects.add_images(s, self.project, additions)).ids
        self.annotate(*((one, self.concepts[n % 2]) for one, n in zip(ids, numbers, strict=True)))
        return ids

    def annotate(self, *pairs: tuple[str, str]) -> None:
        said = [
            (image_id, AnnotateImage(self.view, (Annotation(concept_id),)))
            for image_id, concept_id in pairs
        ]
        do(self.store, lambda s: projects.annotate_images(s, said))

    def draw_split(self, size: float = 0.2, seed: int = 7) -> None:
        command = DrawSplit(size, seed)
        insist(self.store, lambda s: projects.draw_validation_split(s, self.project, command))

    def train(self, name: str | None = None, options: Mapping[str, object] = OPTIONS) -> str:
        """A new version of the view's current model."""
        return insist(self.store, lambda s: versions.train_view(s, self.view, name, options)).id

    def model(self) -> str:
        """The view's current model."""
        current = require(Session(self.store, request()).get(VIEW, self.view)).current_model
        assert current is not None
        return current


def trainable(store: Store) -> Scene:
    """A scene with ten annotated images, two of which validate."""
    scene = Scene(store, images=10)
    scene.draw_split()
    return scene
