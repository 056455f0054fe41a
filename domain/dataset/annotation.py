"""Annotations: a concept of an image, or of a box in it; and labels that are doubted."""

from collections.abc import Iterable

import msgspec

PRECISION = 9
"""Decimals of a box: finer than a pixel of any image, coarse enough to survive arithmetic."""

SAME_BOX = 1e-6
"""The most by which sides differ of a box and of the same one in 32-bit numbers."""

SAME_PLACE = 0.5
"""The least IoU of two boxes that show the same thing."""


class Box(msgspec.Struct, frozen=True):
    """A rectangle in shares of the image: left, top, width and height, all within [0, 1]."""

    x: float
    y: float
    width: float
    height: float

    def is_same_as(self, other: "Box") -> bool:
        sides = zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True)
        return all(abs(own - others) <= SAME_BOX for own, others in sides)

    def overlap(self, other: "Box") -> float:
        """The IoU."""
        width = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        height = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        if width <= 0 or height <= 0:
            return 0.0
        shared = width * height
        return shared / (self.width * self.height + other.width * other.height - shared)


class Annotation(msgspec.Struct, frozen=True):
    """One concept of the image, or of a box in it."""

    concept_id: str
    box: Box | None = None


class DoubtedLabel(msgspec.Struct, frozen=True):
    """What a suspect doubts: that an image has a concept, in detection at this box.

    Where it is not `present`, that the image lacks the concept, in detection near this box.
    """

    concept_id: str
    present: bool = True
    box: Box | None = None

    def holds(self, annotations: Iterable[Annotation]) -> bool:
        """Whether the label is that of an image with these annotations."""
        return self.present == any(self._matches(annotation) for annotation in annotations)

    def is_about(self, other: "DoubtedLabel") -> bool:
        """Whether it is the same label."""
        alike = (self.concept_id, self.present) == (other.concept_id, other.present)
        return alike and self._matches(Annotation(other.concept_id, other.box))

    def _matches(self, annotation: Annotation) -> bool:
        if annotation.concept_id != self.concept_id:
            return False
        if self.box is None or annotation.box is None:
            return self.box is annotation.box
        if self.present:
            return self.box.is_same_as(annotation.box)
        return self.box.overlap(annotation.box) >= SAME_PLACE
