"""Ed25519 signatures as the reference implementation of signed notes makes them."""

import pytest

from adapters.audit.signing import (
    Unsigned,
    new_key,
    open_checkpoint,
    open_note,
    parse_signing_key,
    sign,
)
from domain.audit.signed_note import Malformed, VerifierKey, parse_verifier_key
from domain.audit.transparency import Checkpoint
from tests.domain.audit.test_signed_note import KEY, NOTE, PRIVATE_KEY, TEXT


def test_the_reference_implementations_signature_is_made_and_taken() -> None:
    key = parse_signing_key(PRIVATE_KEY)
    assert str(key.verifier) == KEY
    assert str(key) == PRIVATE_KEY
    assert str(sign(TEXT, [key])) == NOTE
    assert open_note(NOTE, [parse_verifier_key(KEY)]) == (TEXT, [key.verifier])


def test_a_note_by_a_stranger_is_read_and_not_believed() -> None:
    """C2SP signed-note's own example, which comes without its key."""
    note = (
        "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\n"
        "ed è subito sera.\n\n\u2014 quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i"
        "5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"
    )
    with pytest.raises(Unsigned, match="signed by quasimodo"):
        open_note(note, [parse_verifier_key(KEY)])


def test_another_text_is_not_what_was_signed() -> None:
    with pytest.raises(Unsigned, match="PeterNeumann is wrong"):
        open_note(NOTE.replace("you", "one"), [parse_verifier_key(KEY)])


def test_unknown_signers_are_passed_over_but_one_must_be_known() -> None:
    mine, other = new_key("stemma/1"), new_key("stemma/1")
    note = str(sign("text\n", [other, mine]))
    assert open_note(note, [mine.verifier]) == ("text\n", [mine.verifier])
    with pytest.raises(Unsigned, match="not by a known key"):
        open_note(note, [new_key("stemma/1").verifier])


def test_a_key_of_the_same_name_and_id_proves_nothing() -> None:
    mine = new_key("stemma/1")
    [signature] = sign("text\n", [new_key("stemma/1")]).signatures
    forged = str(sign("text\n", [mine])).splitlines(keepends=True)[:-1]
    line = type(signature)("stemma/1", mine.verifier.key_id, signature.value).line()
    with pytest.raises(Unsigned):
        open_note("".join(forged) + line, [mine.verifier])


def test_a_checkpoint_is_signed_in_the_name_of_its_log() -> None:
    key = new_key("stemma/1")
    mine, other = (Checkpoint(name, 1, bytes(32)) for name in ("stemma/1", "stemma/2"))
    assert open_checkpoint(str(sign(mine.text(), [key])), [key.verifier]) == (mine, [key.verifier])
    with pytest.raises(Unsigned, match="stemma/2 is signed by stemma/1"):
        open_checkpoint(str(sign(other.text(), [key])), [key.verifier])


def test_keys_are_told_apart_and_private_ones_are_not_shown() -> None:
    first, second = new_key("stemma/1"), new_key("stemma/1")
    assert first.verifier.key_id != second.verifier.key_id
    assert isinstance(first.verifier, VerifierKey)
    assert str(first.verifier) in repr(first)
    assert str(first).split("+", 4)[4] not in repr(first)
    with pytest.raises(Malformed, match="the id of another key"):
        parse_signing_key(PRIVATE_KEY.replace("c74f20a3", "c74f20a4"))
