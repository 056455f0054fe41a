"""Entries and checkpoints: one text for one meaning, and nothing else is taken for either."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.audit.signed_note import Malformed
from domain.audit.transparency import (
    Checkpoint,
    Entry,
    log_entry,
    notes_in,
    parse_checkpoint,
)

# C2SP tlog-checkpoint has this as its example.
CHECKPOINT = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
LINES = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.integers(0, 2**63 - 1)


def test_an_entry_is_readable() -> None:
    entry = log_entry(7, "project-1", 2, "project.renamed", b'{"actor":"ada"}')
    digest = sha256(b'{"actor":"ada"}').hexdigest()
    assert entry.decode() == f"stemma-event/v1\n7\nproject-1\n2\nproject.renamed\n{digest}\n"


@given(NUMBERS, LINES, NUMBERS, LINES, st.binary(max_size=20))
def test_an_entry_says_one_thing(
    position: int, stream: str, revision: int, name: str, state: bytes
) -> None:
    entry = log_entry(position, stream, revision, name, state)
    digest = sha256(state).hexdigest()
    lines = ["stemma-event/v1", str(position), stream, str(revision), name, digest, ""]
    assert entry.decode().split("\n") == lines
    assert bytes(Entry(position, stream, revision, name, digest)) == entry


@pytest.mark.parametrize(
    ("stream", "name", "wrong"),
    [("a\nb", "c", "line feed"), ("a", "b\nc", "line feed"), ("a" * 65_500, "b", "too long")],
)
def test_what_does_not_fit_into_an_entry_is_refused(stream: str, name: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        log_entry(1, stream, 1, name, b"{}")


def test_the_published_checkpoint() -> None:
    found = parse_checkpoint(CHECKPOINT)
    assert (found.origin, found.size, len(found.root)) == (
        "example.com/behind-the-sofa",
        20852163,
        32,
    )
    assert found.text() == CHECKPOINT


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("20852163", "020852163"),
        ("20852163", "-1"),
        ("20852163", ""),
        ("CsUY", "CsU"),
        ("CsUYapGG", ""),
        ("2I=", "2J="),
        ("\nCs", "\n\nCs"),
        ("2I=\n", "2I=\nmore\n"),
        ("2I=\n", "2I="),
        ("example.com/behind-the-sofa", ""),
    ],
)
def test_what_is_no_checkpoint_is_refused(before: str, after: str) -> None:
    with pytest.raises(Malformed):
        parse_checkpoint(CHECKPOINT.replace(before, after))


def test_the_notes_of_a_file_are_told_apart() -> None:
    one = Checkpoint("a", 1, bytes(32)).text() + "\n\u2014 a AAAA\n"
    two = Checkpoint("b", 2, bytes(32)).text() + "\n\u2014 b AAAA\n\u2014 c AAAA\n"
    assert list(notes_in(one + two + "\n\n" + one)) == [one, two, one]
    assert list(notes_in("\n")) == []
    assert list(notes_in(one + two[:9])) == [one, two[:9]]
