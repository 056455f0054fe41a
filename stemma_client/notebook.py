"""Pictures for notebooks: curves as SVG, and images as a gallery."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from stemma_client._generated.answers import SeriesOfVersion

WIDTH, HEIGHT, EDGE = 420, 140, 4
COLOURS = ("#4063d8", "#cb3c33", "#389826", "#9558b2", "#b8860b")
SIDE = 160
"""The longest side of a picture in a gallery."""
MOST_POINTS = 400
"""Points that a curve is drawn with; the picture only, never the data, is thinned."""


def curves(series: Sequence[SeriesOfVersion]) -> str:
    """The metrics of a version as small curves, each over its own range."""
    return "".join(
        f"<figure style='display:inline-block;margin:4px'>{_curve(one, colour)}"
        f"<figcaption>{html.escape(one.metric)}: {one.values[-1]:.4g}</figcaption></figure>"
        for one, colour in zip(series, COLOURS)  # noqa: B905 (3.10)
        if one.values
    )


def _curve(series: SeriesOfVersion, colour: str) -> str:
    step = max(1, len(series.values) // MOST_POINTS)
    xs, ys = series.iterations[::step], series.values[::step]
    low, high = min(ys), max(ys)
    first, last = xs[0], xs[-1]
    points = " ".join(
        f"{EDGE + (x - first) / ((last - first) or 1) * (WIDTH - 2 * EDGE):.1f},"
        f"{HEIGHT - EDGE - (y - low) / ((high - low) or 1) * (HEIGHT - 2 * EDGE):.1f}"
        for x, y in zip(xs, ys)  # noqa: B905
    )
    return (
        f"<svg width='{WIDTH}' height='{HEIGHT}' role='img'>"
        f"<title>{html.escape(series.metric)}</title>"
        f"<polyline points='{points}' fill='none' stroke='{colour}' stroke-width='1.5'/></svg>"
    )


def files(pictures: Sequence[tuple[str, Path]]) -> str:
    """Image files, made small, with their captions; needs Pillow."""
    from PIL import Image

    small = []
    for caption, path in pictures:
        with Image.open(path) as image, BytesIO() as made:
            shown = image.convert("RGB")
            shown.thumbnail((SIDE, SIDE))
            shown.save(made, "WEBP")
            small.append((caption, made.getvalue()))
    return gallery(small)


def gallery(pictures: Sequence[tuple[str, bytes]]) -> str:
    """Images in WebP with their captions."""
    return "".join(
        f"<figure style='display:inline-block;margin:4px;max-width:160px'>"
        f"<img style='max-width:160px;max-height:160px' alt='{html.escape(caption)}'"
        f" src='data:image/webp;base64,{base64.b64encode(picture).decode()}'/>"
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        for caption, picture in pictures
    )
