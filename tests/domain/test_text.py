import sys
import unicodedata

import pytest

from domain.errors import Invalid
from domain.text import MAX_NAME, clean_name, escaped, escaped_lines, is_text, refuse_unprintable


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
        ("", "enter a label"),
        (" \t", "enter a label"),
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


FORGED = "a\x1b[2J\n812 ada: all is well\u202e\x9b\u2028"


def test_text_of_others_is_shown_on_one_line() -> None:
    assert escaped(FORGED) == "a\\x1b[2J\\n812 ada: all is well\\u202e\\x9b\\u2028"
    assert escaped("Zähler\u202f3 👩‍🔬") == "Zähler\u202f3 👩‍🔬"
    assert escaped_lines("a\n\tb\x1b\r\n") == "a\n\tb\\x1b\\r\n"


def test_every_control_character_is_no_text() -> None:
    for number in range(sys.maxunicode + 1):
        control = unicodedata.category(chr(number)) in ("Cc", "Cs", "Zl", "Zp")
        reorders = unicodedata.bidirectional(chr(number)) in (
            *("LRE", "RLE", "PDF", "LRO", "RLO"),
            *("LRI", "RLI", "FSI", "PDI"),
        )
        assert is_text(chr(number)) is not (control or reorders), hex(number)


def test_metadata_may_have_lines_and_nothing_else_that_controls() -> None:
    refuse_unprintable("two\r\nlines\tand a tab", "metadata")
    for bad in ("\0", "\x1b", "\u202e", "\u2028"):
        with pytest.raises(Invalid, match="metadata has"):
            refuse_unprintable(f"a{bad}b", "metadata")
