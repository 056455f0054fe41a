"""Random images and answers, within what the formats can tell apart."""

from collections.abc import Sequence

from hypothesis import strategies as st

from adapters.formats.items import DeclaredView, SourceAnnotation, SourceImage, ViewAnnotations
from domain.dataset.image import SPLITS, Box
from domain.library.view import CLASSIFICATION, DETECTION, TAGGING
from domain.text import is_text

GRID = 10**9
PRINTABLE = st.characters(
    exclude_categories=("C", "Z"), include_characters=" \u00a0\u202f\u3000\u200c\u200d"
)
TEXT = st.characters(
    codec="utf-8",
    exclude_categories=("Cc", "Zl", "Zp"),
    exclude_characters="\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
    include_characters="\n\r\t",
)
LABELS = st.text(PRINTABLE | st.sampled_from(", \"'<&;#:\\"), min_size=1, max_size=12).filter(
    lambda text: text == text.strip() and is_text(text)
)
STEMS = LABELS.filter(lambda text: not set(text) & set("/\\:") and text[0] != ".")
FOLDERS = st.sampled_from(["", "images/", "images/deep er/", "JPEGImages/", "é/"])
METADATA = st.dictionaries(
    st.text(TEXT, max_size=8), st.text(TEXT, min_size=1, max_size=8), max_size=3
)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    """Boxes whose numbers have nine decimals."""

    def span() -> tuple[float, float]:
        start = draw(st.integers(0, GRID - 1))
        return start / GRID, draw(st.integers(1, GRID - start)) / GRID

    (x, width), (y, height) = span(), span()
    return Box(x, y, width, height)


@st.composite
def declared_views(draw: st.DrawFn, kinds: Sequence[str], count: int) -> list[DeclaredView]:
    names = draw(st.lists(LABELS, min_size=1, max_size=count, unique=True))
    return [
        DeclaredView(
            name,
            draw(st.sampled_from(kinds)),
            tuple(draw(st.lists(LABELS, min_size=1, max_size=4, unique=True))),
        )
        for name in names
    ]


@st.composite
def answers(draw: st.DrawFn, view: DeclaredView, must: bool) -> ViewAnnotations | None:
    """An answer that the view's kind allows, or None unless there `must` be one."""
    concepts = st.sampled_from(view.concepts)
    if not must and draw(st.booleans()):
        return None
    if view.kind == CLASSIFICATION:
        return ViewAnnotations((SourceAnnotation(draw(concepts)),))
    if view.kind == TAGGING:
        tags = draw(st.lists(concepts, unique=True))
        said = [SourceAnnotation(tag) for tag in tags]
    else:
        said = draw(st.lists(st.builds(SourceAnnotation, concepts, boxes()), max_size=4))
    return ViewAnnotations(tuple(said), without_concept=not said)


@st.composite
def exports(
    draw: st.DrawFn,
    kinds: Sequence[str] = (DETECTION,),
    count: int = 1,
    answered: bool = False,
    metadata: bool = False,
) -> tuple[list[DeclaredView], list[SourceImage]]:
    """Views and images. With `answered` every image has an answer in each view."""
    views = draw(declared_views(kinds, count))
    images = []
    for stem in draw(st.lists(STEMS, max_size=4, unique=True)):
        said = {view.name: draw(answers(view, answered)) for view in views}
        images.append(
            SourceImage(
                f"{draw(FOLDERS)}{stem}{draw(st.sampled_from(['.jpg', '.PNG', '.tiff']))}",
                "",
                draw(st.sampled_from([None, *SPLITS])),
                draw(METADATA) if metadata else {},
                {name: given for name, given in said.items() if given is not None},
                (draw(st.integers(1, 30_000)), draw(st.integers(1, 30_000))),
            )
        )
    return views, images
