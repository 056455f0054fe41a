import pytest

from domain.upcasts import Payload, upcast


def _split_name(payload: Payload) -> Payload:
    first, last = payload["name"].split(" ")
    return {"first": first, "last": last}


def _add_title(payload: Payload) -> Payload:
    return payload | {"title": None}


STEPS = {("person.named", 1): _split_name, ("person.named", 2): _add_title}


def test_a_payload_takes_every_step_to_the_current_version() -> None:
    assert upcast("person.named", {"name": "Ada Lovelace"}, 1, 3, STEPS) == {
        "first": "Ada",
        "last": "Lovelace",
        "title": None,
    }


def test_a_payload_skips_the_steps_it_does_not_need() -> None:
    newer = {"first": "Ada", "last": "Lovelace"}
    assert upcast("person.named", newer, 2, 3, STEPS) == newer | {"title": None}


def test_a_current_payload_is_left_alone() -> None:
    assert upcast("person.named", {"a": 1}, 3, 3, STEPS) == {"a": 1}


def test_a_missing_step_is_named() -> None:
    with pytest.raises(LookupError, match=r"person\.named from version 3 to 4"):
        upcast("person.named", {"name": "Ada Lovelace"}, 1, 4, STEPS)


def test_a_payload_of_a_newer_program_is_refused() -> None:
    with pytest.raises(LookupError, match="run a newer version"):
        upcast("person.named", {}, 4, 3, STEPS)
