"""Stories of keys: issued, rotated, revoked; what they open, and how they limit."""

from datetime import UTC, datetime, timedelta
from itertools import combinations

import pytest

from domain.access.key import (
    AcceptInvitation,
    InvitationAccepted,
    InvitationIssued,
    IssueInvitation,
    IssueKey,
    Key,
    KeyIssued,
    KeyRevoked,
    KeyRotated,
    RotateKey,
    Scope,
    decide,
    digest_of,
    evolve,
    key_text,
    new_secret,
    parse_key,
    refuse_wider,
)
from domain.access.roles import RIGHTS, Grants, Right, Role
from domain.errors import Conflict, Forbidden, Invalid, NotFound
from tests.domain.story import Story

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
HOUR = timedelta(hours=1)
ONE, TWO, THREE = (digest_of(name) for name in ("one", "two", "three"))
ISSUED = KeyIssued("account-1", "nightly", ONE, Scope(), NOW + HOUR)

given = Story(evolve, decide).given


def after(*events: object) -> Key:
    found = given(*events).state  # type: ignore[arg-type]
    assert found is not None
    return found


def test_a_key_is_issued_with_its_limits_in_order() -> None:
    scope = Scope((Role.VIEWER, Role.ANNOTATOR), ("zoo", "farm", "zoo"))
    ordered = Scope((Role.ANNOTATOR, Role.VIEWER), ("farm", "zoo"))
    command = IssueKey("account-1", " nightly ", ONE, NOW, scope, NOW + HOUR)
    given().when(command).then(KeyIssued("account-1", "nightly", ONE, ordered, NOW + HOUR))
    given(ISSUED).when(command).then(Conflict)


@pytest.mark.parametrize(
    ("command", "field"),
    [
        (IssueKey("account-1", " ", ONE, NOW), "label"),
        (IssueKey("account-1", "k", ONE, NOW, Scope(roles=())), "roles"),
        (IssueKey("account-1", "k", ONE, NOW, Scope(projects=())), "projects"),
        (IssueKey("account-1", "k", ONE, NOW, expires_at=NOW), "expires_at"),
    ],
)
def test_what_cannot_be_a_key_is_refused(command: IssueKey, field: str) -> None:
    given().when(command).then(Invalid, field=field)


def test_only_its_own_secret_opens() -> None:
    key = after(ISSUED)
    assert key.opens(ONE, NOW)
    assert not key.opens(TWO, NOW)
    assert (key.expired(NOW), key.expired(NOW + HOUR)) == (False, True)


def test_after_a_rotation_the_one_before_opens_for_a_while() -> None:
    rotated = KeyRotated(TWO, NOW + HOUR)
    given(ISSUED).when(RotateKey(TWO, NOW, HOUR)).then(rotated)
    key = after(ISSUED, rotated)
    assert key.opens(TWO, NOW + 2 * HOUR)
    assert key.opens(ONE, NOW)
    assert not key.opens(ONE, NOW + HOUR)
    assert not after(ISSUED, rotated, KeyRotated(THREE, NOW + HOUR)).opens(ONE, NOW)


def test_what_opens_nothing_any_more_is_not_rotated() -> None:
    given(ISSUED, KeyRevoked()).when(RotateKey(TWO, NOW)).then(Conflict)
    given(KeyIssued("a", "k", ONE, Scope(), NOW)).when(RotateKey(TWO, NOW)).then(Conflict)
    given(ISSUED).when(RotateKey(TWO, NOW, timedelta(days=31))).then(
        Invalid, field="overlap_seconds"
    )


def test_a_key_is_revoked_once() -> None:
    given(ISSUED).when(None).then(KeyRevoked())
    given(ISSUED, KeyRevoked()).when(None).then()
    given().when(None).then(NotFound)
    assert after(ISSUED, KeyRevoked()).revoked


def test_the_text_of_a_key_holds_its_id_and_256_bits() -> None:
    secret = new_secret()
    assert len(bytes.fromhex(secret)) == 32
    text = key_text("0123456789abcdef", secret)
    assert parse_key(text) == ("0123456789abcdef", digest_of(secret))
    for wrong in ("", text[:-1], text + "0", text.upper(), text + "\n", f" {text}"):
        assert parse_key(wrong) is None


def roles() -> list[frozenset[Role]]:
    return [frozenset(some) for n in range(4) for some in combinations(Role, n)]


def rights(held: frozenset[Role]) -> set[Right]:
    return {right for role in held for right in RIGHTS[role]}


def test_a_limit_leaves_just_the_rights_that_both_have() -> None:
    for held in roles():
        for limit in roles():
            left = Scope(roles=tuple(limit)).limit(Grants(everywhere=held)).everywhere
            assert rights(left) == rights(held) & rights(limit), (held, limit)


def test_a_limit_to_projects_leaves_nothing_beyond() -> None:
    grants = Grants(frozenset({Role.VIEWER}), {"zoo": frozenset({Role.TRAINER})})
    limited = Scope(projects=("zoo", "farm")).limit(grants)
    assert set(limited.projects(Right.READ) or ()) == {"zoo", "farm"}
    assert set(limited.projects(Right.TRAIN) or ()) == {"zoo"}
    assert Scope().limit(grants) == grants


def test_what_a_limited_key_issues_is_within_it() -> None:
    held = Scope((Role.ANNOTATOR,), ("zoo",))
    refuse_wider(Scope((Role.VIEWER,), ("zoo",)), NOW, held, NOW)
    refuse_wider(Scope(), None, Scope(), None)
    for wider in (
        Scope(),
        Scope((Role.ANNOTATOR,)),
        Scope(projects=("zoo",)),
        Scope((Role.TRAINER,), ("zoo",)),
        Scope((Role.VIEWER,), ("zoo", "farm")),
    ):
        with pytest.raises(Forbidden):
            refuse_wider(wider, NOW, held, None)
    for later in (None, NOW + HOUR):
        with pytest.raises(Forbidden, match="expires"):
            refuse_wider(Scope(), later, Scope(), NOW)


INVITED = InvitationIssued("account-1", "invitation", ONE, NOW + HOUR)


def test_an_invitation_is_accepted_once() -> None:
    command = IssueInvitation("account-1", " invitation ", ONE, NOW, HOUR)
    given().when(command).then(INVITED)
    given(INVITED).when(AcceptInvitation(TWO, NOW)).then(InvitationAccepted(TWO))
    accepted = (INVITED, InvitationAccepted(TWO))
    given(*accepted).when(AcceptInvitation(THREE, NOW)).then(Conflict)
    key = after(*accepted)
    assert key.opens(TWO, NOW)
    assert not key.opens(ONE, NOW)
    assert key.expires_at is None


def test_an_invitation_that_was_withdrawn_or_is_late_is_not_accepted() -> None:
    given(INVITED, KeyRevoked()).when(AcceptInvitation(TWO, NOW)).then(Conflict)
    given(INVITED).when(AcceptInvitation(TWO, NOW + HOUR)).then(Conflict)
    given(INVITED).when(RotateKey(TWO, NOW)).then(Conflict)
    given(ISSUED).when(AcceptInvitation(TWO, NOW)).then(Conflict)
    for lasts in (timedelta(0), timedelta(days=31)):
        given().when(IssueInvitation("a", "k", ONE, NOW, lasts)).then(Invalid, field="days")
