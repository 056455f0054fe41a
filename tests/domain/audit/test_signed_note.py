"""Signed notes and keys in their published form."""

import pytest

from domain.audit.signed_note import Malformed, parse_note, parse_private_key, parse_verifier_key

# golang.org/x/mod/sumdb/note, note_test.go: the reference implementation's key and note.
KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PRIVATE_KEY = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
TEXT = """\
If you think cryptography is the answer to your problem,
then you don't know what your problem is.
"""
NOTE = f"""{TEXT}
\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
"""  # noqa: E501


def test_the_reference_implementations_note() -> None:
    note = parse_note(NOTE)
    assert note.text == TEXT
    [signature] = note.signatures
    assert (signature.name, signature.key_id.hex()) == ("PeterNeumann", "c74f20a3")
    assert str(note) == NOTE


def test_the_reference_implementations_key() -> None:
    key = parse_verifier_key(KEY)
    assert (key.name, key.key_id.hex(), str(key)) == ("PeterNeumann", "c74f20a3", KEY)


def test_every_part_of_a_key_and_every_slip_in_it_is_refused() -> None:
    for begin in range(len(KEY)):
        for end in range(begin + 1, len(KEY) + 1):
            if (begin, end) != (0, len(KEY)):
                with pytest.raises(Malformed):
                    parse_verifier_key(KEY[begin:end])
    for place, char in enumerate(KEY):
        with pytest.raises(Malformed):
            parse_verifier_key(KEY[:place] + chr(ord(char) + 1) + KEY[place + 1 :])


@pytest.mark.parametrize(
    "note",
    [
        "",
        TEXT,
        TEXT + "\n",
        NOTE[:-1],
        NOTE + "\n",
        NOTE.replace("\n\n", "\n"),
        NOTE.replace("\u2014 ", "- "),
        NOTE.replace("x08go", "x 08go"),
        NOTE.replace("x08go", "!08go"),
        NOTE.replace("AM=", "AN="),  # the same bytes, written otherwise
        NOTE.replace("PeterNeumann", "Peter+Neumann"),
        NOTE.replace("PeterNeumann", "Peter\u00a0Neumann"),
        NOTE.replace("you", "y\tou"),
        NOTE.replace("you", "y\rou"),
        f"{TEXT}\n\u2014 short AAAA\n",
    ],
)
def test_what_is_no_note_is_refused(note: str) -> None:
    with pytest.raises(Malformed):
        parse_note(note)


def test_a_text_may_have_empty_lines() -> None:
    assert parse_note("one\n\ntwo\n" + NOTE.removeprefix(TEXT)).text == "one\n\ntwo\n"


def test_a_private_key_is_not_told_when_it_is_wrong() -> None:
    assert parse_private_key(PRIVATE_KEY)[:2] == ("PeterNeumann", "c74f20a3")
    for wrong in (PRIVATE_KEY[:-4], PRIVATE_KEY[12:], PRIVATE_KEY + "!"):
        with pytest.raises(Malformed) as refused:
            parse_private_key(wrong)
        assert "AYEKFALV" not in str(refused.value)
