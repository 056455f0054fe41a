"""What a source may say of an image in a view, by the view's kind."""

from collections.abc import Sequence

from adapters.formats.items import ReadOptions, SourceAnnotation, ViewAnnotations
from adapters.formats.sources import Flaw
from domain.errors import Invalid
from domain.library.view import CLASSIFICATION, DETECTION, KINDS


def kind_of(options: ReadOptions, form: str, *kinds: str) -> str:
    """The kind of the only view: the wanted one where the format leaves it open, or the first.

    Raises `Invalid` if the format cannot hold the wanted kind.
    """
    if options.kind is not None and options.kind not in kinds:
        raise Invalid(
            f"{form} holds a view of kind {' or '.join(kinds)}, not {options.kind!r}; choose the"
            " kind accordingly",
            field="kind",
        )
    return options.kind or kinds[0]


def known_kind(kind: str) -> str:
    if kind not in KINDS:
        raise Invalid(f"a view's kind is {' or '.join(KINDS)}, not {kind[:60]!r}", field="kind")
    return kind


def answer(
    kind: str, said: Sequence[SourceAnnotation], without_concept: bool
) -> ViewAnnotations | None:
    """All that is said of an image in a view, or None for nothing.

    Raises `Flaw` for what no image of such a view can be said to be.
    """
    labels = {labelled.label for labelled in said}
    if without_concept and said:
        raise Flaw(f"the image is without concept and yet has {said[0].label!r}; choose one")
    if kind == CLASSIFICATION and without_concept:
        raise Flaw("in a classification every image has a concept; give one or leave the row out")
    if kind == CLASSIFICATION and len(said) > 1:
        raise Flaw(
            f"the image has {len(said)} concepts, and one fits a classification; leave one, or"
            " import with the kind tagging"
        )
    if kind != DETECTION and len(labels) < len(said):
        raise Flaw("a concept is given twice; remove one")
    return ViewAnnotations(tuple(said), without_concept) if said or without_concept else None
