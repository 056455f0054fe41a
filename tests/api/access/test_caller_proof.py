"""A caller that the server remembers is compared with the log before anything is answered."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from adapters.access.sessions import Sessions
from adapters.postgres.postgres import passing_engine
from api.access.session_cookies import TOKEN_HEADER
from application.access.access import Access
from application.handle import handle
from application.log.store import Store
from domain.access.account import GrantRole, WithdrawRole
from domain.access.key import RevokeKey
from domain.access.roles import Role
from domain.aggregates import ACCOUNT, KEY
from tests.api.people import People
from tests.api.scene import Scene
from tests.application.scenes import request


@pytest.fixture(scope="module")
def people(site: Scene) -> People:
    return People(site)


@pytest.fixture(scope="module")
def project(site: Scene) -> str:
    return site.project()


Meanwhile = Callable[[Callable[[Store], object]], None]


@pytest.fixture
def meanwhile(site: Scene, monkeypatch: pytest.MonkeyPatch) -> Iterator[Meanwhile]:
    """Let something be written to the log once, just after the server has remembered a caller."""
    writes: list[Callable[[Store], object]] = []
    remembered = Access.remembered

    def then_write(access: Access, key: str) -> Any:
        found = remembered(access, key)
        if found is not None and writes:
            writes.pop()(site.store)
        return found

    monkeypatch.setattr(Access, "remembered", then_write)
    yield writes.append
    assert not writes, "the server did not remember the caller"


def decided(aggregate: Any, entity_id: str, command: object) -> Callable[[Store], object]:
    return lambda store: handle(
        store, request(), lambda session: session.decide(aggregate, entity_id, command)
    )


def revoked(client: httpx.Client) -> Callable[[Store], object]:
    key_id = client.get("/api/v1/whoami").raise_for_status().json()["key_id"]
    return decided(KEY, key_id, RevokeKey())


def test_a_key_that_is_revoked_meanwhile_reads_nothing(
    people: People, project: str, meanwhile: Meanwhile
) -> None:
    """Neither from a read model, nor where nothing is read, nor what is not there."""
    for path in (f"projects/{project}", "whoami", "projects/none"):
        _, client = people.join(("viewer", None))
        meanwhile(revoked(client))
        assert client.get(f"/api/v1/{path}").status_code == 401
        assert client.get(f"/api/v1/{path}").status_code == 401


@pytest.mark.parametrize("name", ["Mine", " ", "\x00"])
def test_a_key_that_is_revoked_meanwhile_changes_nothing(
    people: People, project: str, meanwhile: Meanwhile, name: str
) -> None:
    """Also where the command, or its body, would have been refused for another reason."""
    _, client = people.join(("administrator", None))
    meanwhile(revoked(client))
    head = people.site.store.head()
    assert client.patch(f"/api/v1/projects/{project}", json={"name": name}).status_code == 401
    written = people.site.store.read(head)
    assert [one.event.event_name for one in written] == ["key.revoked"]


def test_a_repeated_command_is_not_told_to_a_revoked_key(
    people: People, project: str, meanwhile: Meanwhile
) -> None:
    _, client = people.join(("administrator", None))
    sent: dict[str, Any] = {
        "json": {"name": "Twice"},
        "headers": {"Idempotency-Key": "twice"},
    }
    client.patch(f"/api/v1/projects/{project}", **sent).raise_for_status()
    meanwhile(revoked(client))
    assert client.patch(f"/api/v1/projects/{project}", **sent).status_code == 401


def test_a_role_that_is_withdrawn_meanwhile_does_not_hold(
    people: People, project: str, meanwhile: Meanwhile
) -> None:
    account, client = people.join(("administrator", project))
    path = f"/api/v1/projects/{project}"
    client.get(path).raise_for_status()
    meanwhile(decided(ACCOUNT, account, WithdrawRole(Role.ADMINISTRATOR, project)))
    assert client.patch(path, json={"name": "Mine"}).status_code == 404
    assert client.get(path).status_code == 404


def test_a_caller_who_changed_otherwise_is_answered(
    people: People, project: str, meanwhile: Meanwhile
) -> None:
    """The request begins again, with the body that it came with."""
    account, client = people.join(("administrator", None))
    path = f"/api/v1/projects/{project}"
    client.get(path).raise_for_status()
    for role in (Role.VIEWER, Role.ANNOTATOR):
        meanwhile(decided(ACCOUNT, account, GrantRole(role, project)))
        name = f"named by a new {role}"
        done = client.patch(path, json={"name": name}).raise_for_status().json()
        seen = people.site.http.get(path, params={"at_least": done["position"]}).json()
        assert seen["project"]["name"] == name
        meanwhile(decided(ACCOUNT, account, WithdrawRole(role, project)))
        assert client.get(path).raise_for_status().json()["project"]["name"] == name


@pytest.fixture
def browser(people: People) -> Iterator[httpx.Client]:
    """Somebody's browser, whose session the server has read, with the token of its pages."""
    _, client = people.join(("administrator", None))
    key = client.headers["Authorization"].partition(" ")[2]
    with people.site.nobody() as own:
        own.post("/api/v1/sessions", json={"key": key}).raise_for_status()
        page = own.get("/").raise_for_status().text
        own.headers[TOKEN_HEADER] = page.split('name="csrf-token" content="')[1].split('"')[0]
        yield own


def test_a_session_is_not_read_anew_for_each_request(
    browser: httpx.Client, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Sessions, "find")
    path = f"/api/v1/projects/{project}"
    assert browser.get(path).is_success
    assert browser.patch(path, json={"name": "Seen"}).is_success


@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_a_session_that_another_process_ended_opens_nothing(
    people: People, browser: httpx.Client, project: str, method: str
) -> None:
    path, head = f"/api/v1/projects/{project}", people.site.store.head()
    with passing_engine(people.site.settings.require("database_url")).begin() as connection:
        connection.execute(text("DELETE FROM work.sessions"))
    body = {"name": "Late"} if method == "PATCH" else None
    assert browser.request(method, path, json=body).status_code == 401
    assert people.site.store.head() == head


def test_an_invitation_opens_nothing_though_its_account_is_known(people: People) -> None:
    _, client = people.join(("viewer", None))
    name = client.get("/api/v1/whoami").raise_for_status().json()["actor"]
    invited = people.site.post("/invitations", {"name": name, "role": "viewer"})
    _, _, key = invited["link"].partition("=")
    with people.site.client(key) as guest:
        for _ in range(2):
            assert guest.get("/api/v1/whoami").status_code == 401


def test_no_command_is_accepted_after_the_revocation(people: People) -> None:
    """Sixteen clients of one key make projects while it is revoked."""
    _, client = people.join(("administrator", None))
    key = client.headers["Authorization"].partition(" ")[2]
    revoke = revoked(client)

    def hammer(number: int) -> list[int]:
        accepted: list[int] = []
        with people.site.client(key) as own:
            while True:
                answer = own.post("/api/v1/projects", json={"name": f"by {number}"})
                if answer.status_code == 401:
                    return accepted
                accepted.append(answer.raise_for_status().json()["position"])

    with ThreadPoolExecutor(16) as threads:
        hammering = [threads.submit(hammer, number) for number in range(16)]
        begun = people.site.store.head()
        while people.site.store.head() < begun + 50:
            pass
        revoke(people.site.store)
        accepted = [position for one in hammering for position in one.result()]
    [revocation] = [
        one.position
        for one in people.site.store.read_all(begun, names=["key.revoked"])
        if one.stream == f"key-{key.split('_')[1]}"
    ]
    assert len(accepted) > 16
    assert max(accepted) < revocation
