"""The regions of VIA, the VGG Image Annotator, whose cells in CSV are JSON."""

from collections.abc import Iterator, Mapping

import msgspec

from adapters.formats.csv.columns import EDGES
from adapters.formats.sources import Flaw


def via_cells(cells: Mapping[str, str]) -> dict[str, str]:
    """The label and the edges of a region of VIA; empty for an image without regions.

    Raises `Flaw` for a region that is no rectangle, polygon or circle.
    """
    try:
        shape = msgspec.json.decode(cells["region_shape_attributes"], type=dict[str, object])
        attributes = msgspec.json.decode(cells["region_attributes"], type=dict[str, object])
        if not shape:
            return {}
        edges = _via_edges(shape)
    except (msgspec.DecodeError, TypeError, ValueError, KeyError) as error:
        raise Flaw(f"the region of VIA cannot be read: {error}") from error
    labels = [text for value in attributes.values() for text in _via_labels(value)]
    if len(labels) != 1:
        raise Flaw(f"the region has {len(labels)} labels in region_attributes; give one")
    return {"label": labels[0], **dict(zip(EDGES, map(str, edges), strict=True))}


def _via_labels(value: object) -> Iterator[str]:
    """The label of an attribute: a text, or the options of checkboxes that are on."""
    if isinstance(value, str) and value.strip():
        yield value
    elif isinstance(value, dict):
        yield from (str(name) for name, is_on in value.items() if is_on in (True, "true"))


def _via_edges(shape: Mapping[str, object]) -> tuple[float, float, float, float]:
    def values(*names: str) -> list[float]:
        return [msgspec.convert(shape[name], float) for name in names]

    match shape.get("name"):
        case "rect":
            x, y, width, height = values("x", "y", "width", "height")
            return x, y, x + width, y + height
        case "polygon" | "polyline":
            xs = msgspec.convert(shape["all_points_x"], list[float])
            ys = msgspec.convert(shape["all_points_y"], list[float])
            return min(xs), min(ys), max(xs), max(ys)
        case "circle":
            x, y, radius = values("cx", "cy", "r")
            return x - radius, y - radius, x + radius, y + radius
        case "ellipse":
            x, y, across, down = values("cx", "cy", "rx", "ry")
            return x - across, y - down, x + across, y + down
    raise Flaw(f"a region of kind {shape.get('name')!r} has no box; remove it")
