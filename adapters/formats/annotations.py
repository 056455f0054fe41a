"""The annotations that an image may have in a view, by the view's kind."""

from collections.abc import Sequence

from adapters.formats.items import ReadOptions, SourceAnnotation, ViewAnnotations
from adapters.formats.sources import Flaw
from domain.errors import Invalid
from domain.library.view import CLASSIFICATION, DETECTION, KINDS


def kind_of(options: ReadOptions, form: str, *kinds: str) -> str:
    """The kind of the only view: the one in the options, or the format's first.

    Raises `Invalid` if the format cannot hold the kind in the options.
    """
    if options.kind is not None and options.kind not in kinds:
        raise Invalid(
            f"{form} holds views of kind {' or '.join(kinds)}, not {options.kind!r}; choose"
            " another kind",
            field="kind",
        )
    return options.kind or kinds[0]


def checked_kind(kind: str) -> str:
    if kind not in KINDS:
        raise Invalid(
            f"a view's kind must be {' or '.join(KINDS)}, got {kind[:60]!r}", field="kind"
        )
    return kind


def view_annotations(
    kind: str,
    annotations: Sequence[SourceAnnotation],
    without_concept: bool,
    *,
    crops: bool = False,
) -> ViewAnnotations | None:
    """An image's annotations in a view, or None if it has none.

    Raises `Flaw` for annotations that the kind of view does not allow.
    """
    if crops:
        return _of_crops(kind, annotations, without_concept)
    labels = {annotation.label for annotation in annotations}
    if without_concept and annotations:
        raise Flaw(
            f"the image is marked as without concept, but has {annotations[0].label!r}; choose one"
        )
    if kind == CLASSIFICATION and without_concept:
        raise Flaw("in a classification every image must have a concept; add one or remove the row")
    if kind == CLASSIFICATION and len(annotations) > 1:
        raise Flaw(
            f"the image has {len(annotations)} concepts, and a classification takes one; keep"
            " one, or import with the kind tagging"
        )
    if kind != DETECTION and len(labels) < len(annotations):
        raise Flaw("a concept is listed twice; remove one")
    if not annotations and not without_concept:
        return None
    return ViewAnnotations(tuple(annotations), without_concept)


def _of_crops(
    kind: str, annotations: Sequence[SourceAnnotation], without_concept: bool
) -> ViewAnnotations | None:
    if kind == CLASSIFICATION and without_concept:
        raise Flaw("in a classification every crop must have a concept; remove those without one")
    if len(set(annotations)) < len(annotations):
        raise Flaw("a concept of a crop is listed twice; remove one")
    if kind == CLASSIFICATION and len({each.box for each in annotations}) < len(annotations):
        raise Flaw("a crop has several concepts, and a classification takes one; keep one")
    if not annotations and not without_concept:
        return None
    return ViewAnnotations(tuple(annotations), without_concept)


def taken_as(options: ReadOptions) -> str:
    """What an image without annotations becomes, for notes."""
    return "without concept" if options.negative else "not annotated"
