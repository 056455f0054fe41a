import pytest

from domain.errors import Invalid
from domain.text import MAX_NAME, clean_name


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "Zähler 3",
        "猫",
        "a b",
        "é" * MAX_NAME,
        "👩‍🔬",
        "Bildschirmfoto 2026-11-02 um 9.41.07\u202fAM",
        "no-break\u00a0space",
        "全角\u3000空白",
        "ฉัน\u200cกิน",
        "עברית\u200f!",
        "private \ue000 use",
        "soft\u00adhyphen",
    ],
)
def test_a_name_people_type_is_kept(name: str) -> None:
    assert clean_name(f"  {name}\n") == name


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "empty"),
        (" \t", "empty"),
        ("a" * (MAX_NAME + 1), "at most 200"),
        ("a\0b", "control"),
        ("a\nb", "control"),
        ("a\ud800b", "control"),
        ("a\u2028b", r"control characters \(U\+2028\)"),
        ("a\u202eb", r"reorder text \(U\+202E\)"),
        ("a\u2066b", r"reorder text \(U\+2066\)"),
    ],
)
def test_a_name_of_no_use_is_refused(name: str, says: str) -> None:
    with pytest.raises(Invalid, match=says) as refused:
        clean_name(name, "label")
    assert refused.value.field == "label"
