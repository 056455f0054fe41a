from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.dataset.image import Annotation, Image, ImageAdded, ImageAnnotated
from domain.dataset.splits import (
    UNANNOTATED,
    WITHOUT_CONCEPT,
    DrawSplit,
    draw_set,
    strata_of,
)
from domain.errors import Invalid

IDS = [f"image-{number}" for number in range(10)]


def images(ids: Iterable[str] = IDS) -> dict[str, frozenset[str]]:
    return {image_id: frozenset() for image_id in ids}


@pytest.mark.parametrize(("size", "count"), [(0.2, 2), (0.5, 5), (0.25, 2), (3, 3), (9, 9)])
def test_a_split_has_the_size_asked_for(size: float, count: int) -> None:
    drawn = draw_set(DrawSplit(size, 1), images())
    assert len(drawn) == count
    assert drawn < set(IDS)


def test_a_split_depends_on_the_seed_and_not_on_the_order_of_the_images() -> None:
    drawn = draw_set(DrawSplit(5, 1), images())
    assert draw_set(DrawSplit(5, 1), images(reversed(IDS))) == drawn
    assert draw_set(DrawSplit(5, 2), images()) != drawn


@pytest.mark.parametrize(
    "size", [0, -1, -0.5, 1, 1.5, float("nan"), float("inf"), 0.01, 0.99, 10, 11, 1e300]
)
def test_a_split_of_no_use_is_refused(size: float) -> None:
    with pytest.raises(Invalid) as refused:
        draw_set(DrawSplit(size, 1), images())
    assert refused.value.field == "size"


@pytest.mark.parametrize("seed", [-1, 2**53 + 1])
def test_a_seed_that_json_cannot_hold_exactly_is_refused(seed: int) -> None:
    with pytest.raises(Invalid) as refused:
        draw_set(DrawSplit(0.5, seed), images())
    assert refused.value.field == "seed"


def test_no_split_is_drawn_from_no_image() -> None:
    with pytest.raises(Invalid, match="0 images"):
        draw_set(DrawSplit(0.5, 1), {})


def test_a_stratified_split_takes_the_share_of_each_concept() -> None:
    held = {"common": 100, "rare": 10, "rarest": 5}
    strata = {
        f"{concept}-{number}": frozenset({concept})
        for concept, images in held.items()
        for number in range(images)
    }
    for seed in range(20):
        drawn = draw_set(DrawSplit(0.2, seed, "view"), strata)
        assert Counter(image_id.split("-")[0] for image_id in drawn) == {
            "common": 20,
            "rare": 2,
            "rarest": 1,
        }


def test_a_stratified_split_depends_on_the_seed_and_not_on_the_order_of_the_images() -> None:
    strata = {image_id: frozenset({"cat" if n % 2 else "dog"}) for n, image_id in enumerate(IDS)}
    turned = dict(reversed(strata.items()))
    command = DrawSplit(4, 1, "view")
    assert draw_set(command, turned) == draw_set(command, strata)
    draws = {draw_set(DrawSplit(4, n, "view"), strata) for n in range(9)}
    assert len(draws) > 1


@given(
    st.lists(st.frozensets(st.sampled_from("abcdef"), max_size=4), min_size=3, max_size=60),
    st.floats(0.05, 0.95),
    st.integers(0, 99),
)
def test_a_stratified_split_has_exactly_the_size_of_a_random_one(
    held: list[frozenset[str]], share: float, seed: int
) -> None:
    strata = {f"image-{n:02}": each or frozenset({UNANNOTATED}) for n, each in enumerate(held)}
    count = max(1, min(len(strata) - 1, round(share * len(strata))))
    size = count if count > 1 else count / len(strata)
    assert len(draw_set(DrawSplit(size, seed, "view"), strata)) == count


def test_an_image_of_several_concepts_counts_for_each() -> None:
    strata = {
        f"image-{n:03}": frozenset(
            {"large"} | ({"red"} if n % 4 == 0 else set()) | ({"old"} if n % 5 == 0 else set())
        )
        for n in range(200)
    }
    drawn = draw_set(DrawSplit(0.25, 3, "view"), strata)
    assert len(drawn) == 50
    found = Counter(concept for image_id in drawn for concept in strata[image_id])
    assert abs(found["red"] - 12.5) <= 1
    assert abs(found["old"] - 10) <= 1


def test_the_strata_of_an_image_are_what_it_holds_in_the_view() -> None:
    cat = ImageAnnotated("pets", (Annotation("cat"), Annotation("dog"), Annotation("cat")), False)
    image = Image(
        ImageAdded("project", "a" * 64, 8, 8, "a.png", {}),
        annotations={"pets": cat, "bare": ImageAnnotated("bare", (), True)},
    )
    assert strata_of(image, "pets") == {"cat", "dog"}
    assert strata_of(image, "bare") == {WITHOUT_CONCEPT}
    assert strata_of(image, "other") == {UNANNOTATED}
    assert strata_of(image, None) == frozenset()
