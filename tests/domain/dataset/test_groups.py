"""Draws by whole groups, beside a naive reference; torn groups and the split of their majority."""

import contextlib
import itertools
import random
from collections import Counter
from collections.abc import Iterable
from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.dataset.groups import GroupSplits, check_key, groups_of, refuse_torn
from domain.dataset.splits import UNANNOTATED, DrawSplit, draw_set
from domain.errors import Conflict, Invalid

SIZES = st.lists(st.integers(1, 9), min_size=2, max_size=12)
SHARES = st.floats(0.05, 0.95)
HELD = st.lists(st.frozensets(st.sampled_from("abc"), max_size=2), min_size=1, max_size=20)


def grouped(sizes: list[int]) -> dict[str, str]:
    """Images by id with their group; those of size 1 have none."""
    return {
        f"{group:02}-{number}": f"group {group}"
        for group, size in enumerate(sizes)
        for number in range(size)
    }


def holding(groups: dict[str, str], held: list[frozenset[str]]) -> dict[str, frozenset[str]]:
    return {
        key: each or frozenset({UNANNOTATED})
        for key, each in zip(groups, itertools.cycle(held), strict=False)
    }


def asked(share: float, images: int) -> tuple[DrawSplit, int]:
    count = max(1, min(images - 1, round(share * images)))
    return DrawSplit(count if count > 1 else 1 / images, 0), count


def drawn_or_none(
    command: DrawSplit, strata: dict[str, frozenset[str]], groups: dict[str, str]
) -> frozenset[str] | None:
    """None where the groups cannot give the size at all."""
    with contextlib.suppress(Invalid):
        return draw_set(command, strata, groups)
    return None


@given(SIZES, SHARES, st.integers(0, 99), HELD)
def test_no_group_crosses_and_the_size_is_near(
    sizes: list[int], share: float, seed: int, held: list[frozenset[str]]
) -> None:
    groups = grouped(sizes)
    strata = holding(groups, held)
    # Some images without a group, each one of its own.
    alone = {image_id: value for image_id, value in groups.items() if value != "group 0"}
    command, count = asked(share, len(groups))
    command = DrawSplit(command.size, seed, "view")
    drawn = drawn_or_none(command, strata, alone)
    whole = [[key for key in groups if alone.get(key) == value] for value in set(alone.values())]
    largest = max([1, *map(len, whole)])
    if drawn is None:
        # Nothing or all would be nearer than any group.
        assert min(count, len(groups) - count) <= largest / 2
        return
    assert all(drawn.isdisjoint(members) or drawn.issuperset(members) for members in whole)
    error = abs(len(drawn) - count)
    assert error <= largest / 2
    # No single group that moves across brings it nearer.
    units = [*whole, *([key] for key in groups if key not in alone)]
    for members in units:
        change = -len(members) if members[0] in drawn else len(members)
        assert abs(len(drawn) + change - count) >= error
        # Nor does an exchange with another one.
        for others in units:
            if (others[0] in drawn) != (members[0] in drawn):
                back = -len(others) if others[0] in drawn else len(others)
                assert abs(len(drawn) + change + back - count) >= error
    assert draw_set(command, dict(reversed(strata.items())), alone) == drawn


@given(st.lists(st.integers(1, 8), min_size=2, max_size=10), SHARES, st.integers(0, 9))
def test_no_subset_of_groups_is_much_nearer(sizes: list[int], share: float, seed: int) -> None:
    groups = grouped(sizes)
    command, count = asked(share, len(groups))
    drawn = drawn_or_none(DrawSplit(command.size, seed), dict.fromkeys(groups, frozenset()), groups)
    nearest = min(
        abs(sum(chosen) - count)
        for number in range(1, len(sizes))
        for chosen in combinations(sizes, number)
    )
    if drawn is not None:
        assert nearest <= abs(len(drawn) - count) <= nearest + max(sizes) / 2


def naive(
    units: list[tuple[str, ...]], strata: dict[str, frozenset[str]], count: int
) -> set[tuple[str, ...]]:
    """The dealing of `splits._stratified`, with every number counted anew for each unit."""
    images = sum(map(len, units))
    waiting, drawn, rest = list(units), set[tuple[str, ...]](), set[tuple[str, ...]]()

    def number(among: Iterable[tuple[str, ...]], stratum: str) -> int:
        return sum(stratum in strata[key] for unit in among for key in unit)

    known = {each: number(units, each) for key in strata for each in strata[key]}
    while waiting:
        stratum = min(known, key=lambda each: (known[each], each))
        if known[stratum] != number(waiting, stratum):
            known[stratum] = number(waiting, stratum) or images + 1
            continue
        for unit in [each for each in waiting if number([each], stratum)]:
            places = count - sum(map(len, drawn))
            others = images - count - sum(map(len, rest))
            if len(unit) <= min(places, others):
                total = number(units, stratum)
                lacking = Fraction(count * total, images) - number(drawn, stratum)
                others_lack = Fraction((images - count) * total, images) - number(rest, stratum)
                chosen = (lacking - others_lack, places) > (0, others)
            else:
                chosen = places > others
            (drawn if chosen else rest).add(unit)
            waiting.remove(unit)
        known[stratum] = images + 1
    return drawn


@given(SIZES, SHARES, st.integers(0, 99), HELD)
def test_groups_are_dealt_as_by_a_naive_reference(
    sizes: list[int], share: float, seed: int, held: list[frozenset[str]]
) -> None:
    groups = grouped(sizes)
    strata = holding(groups, held)
    command, count = asked(share, len(groups))
    units = [
        tuple(key for key in groups if groups[key] == value)
        for value in dict.fromkeys(groups.values())
    ]
    random.Random(seed).shuffle(units)
    expected = naive(units, strata, count)
    drawn = drawn_or_none(DrawSplit(command.size, seed, "view"), strata, groups)
    if drawn is not None and sum(map(len, expected)) == count:
        assert drawn == {key for unit in expected for key in unit}


def test_groups_are_stratified_where_they_can_be() -> None:
    """Videos of ten frames of one concept each: each concept gives its share of videos."""
    groups = {f"{video:02}-{frame}": f"{video}" for video in range(30) for frame in range(10)}
    strata = {key: frozenset({"cat" if int(groups[key]) % 3 else "dog"}) for key in groups}
    for seed in range(10):
        drawn = draw_set(DrawSplit(0.2, seed, "view"), strata, groups)
        assert Counter(concept for key in drawn for concept in strata[key]) == {
            "cat": 40,
            "dog": 20,
        }
    assert len({draw_set(DrawSplit(0.2, seed), strata, groups) for seed in range(10)}) > 1


def test_large_groups_are_drawn_as_often_as_their_share() -> None:
    groups = grouped([10] * 10 + [1] * 100)
    strata = dict.fromkeys(groups, frozenset[str]())
    large = sum(
        int(key[:2]) < 10
        for seed in range(100)
        for key in draw_set(DrawSplit(0.2, seed), strata, groups)
    )
    assert 1500 < large < 2500  # of 4000 drawn, where half of all images are in large groups


def test_a_size_that_groups_cannot_give_is_refused() -> None:
    groups = grouped([50, 50])
    with pytest.raises(Invalid, match="2 groups of 50 to 50 images cannot be split into 2 and 98"):
        draw_set(DrawSplit(2, 1), dict.fromkeys(groups, frozenset()), groups)


def test_torn_groups_are_named_with_what_to_do() -> None:
    images = [("b", "train"), ("a", "train"), ("a", "test"), ("a", "test"), ("c", "validation")]
    groups = groups_of(images)
    assert [str(group) for group in groups] == ["'a' (1 train, 2 test)", "'b' (1 train)",
                                                "'c' (1 validation)"]  # fmt: skip
    assert [group.is_torn for group in groups] == [True, False, False]
    assert groups[0].majority == "test"
    assert GroupSplits("x", {"test": 1, "validation": 1}).majority == "validation"
    with pytest.raises(
        Conflict, match=r"divide 1 of 3 groups by 'patient': 'a' \(1 train"
    ) as refused:
        refuse_torn("patient", groups)
    assert refused.value.field == "mend"
    refuse_torn("patient", groups[1:])


@pytest.mark.parametrize("key", ["", "k" * 201, "a\x00b"])
def test_a_key_that_no_image_can_have_is_refused(key: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_key(key)
    assert refused.value.field == "key"
