"""Webhooks over HTTP and in the shell: the secret is shown once, and what goes wrong is told."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import httpx
import psycopg
import pytest
from click.testing import CliRunner

from adapters.health import overview
from adapters.servers.postgres import EmbeddedPostgres
from api.subscriptions.webhook_reading import refuse_others
from cli.main import main
from domain.access.account import account_id
from domain.access.roles import Grants, Role
from domain.errors import Forbidden, NotFound
from tests.adapters.running import eventually, running
from tests.adapters.subscriptions.webhooks.receiver import OK, Receiver, Reply, receiving
from tests.adapters.subscriptions.webhooks.scene import QUICK
from tests.api.conftest import serving, settings_at
from tests.api.http.test_watching import counted
from tests.api.scene import Scene
from tests.servers import Database, new_database

HOOKS = "/api/v1/webhooks"


@pytest.fixture(scope="module")
def database(postgres: EmbeddedPostgres, migrated_template: str) -> Iterator[Database]:
    with new_database(postgres, migrated_template) as made:
        yield made


@pytest.fixture(scope="module")
def site(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The API, which may call loopback, and the part that delivers."""
    settings = settings_at(database, tmp_path_factory.mktemp("hooks"), **QUICK)
    with serving(settings) as scene, running(settings, "courier"):
        yield scene


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


def register(site: Scene, url: str, key: str | None = None, **others: object) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return site.http.post(HOOKS, json={"url": url, **others}, headers=headers)


def registered(site: Scene, url: str, **others: Any) -> dict[str, Any]:
    response = register(site, url, **others)
    assert response.status_code == HTTPStatus.CREATED, response.text
    answer: dict[str, Any] = response.json()
    return answer


def shown(site: Scene, webhook_id: str) -> dict[str, Any]:
    found: dict[str, Any] = site.http.get(f"{HOOKS}/{webhook_id}").raise_for_status().json()
    row: dict[str, Any] = found["webhook"]
    return row


def test_a_webhook_is_registered_shown_and_served(site: Scene, receiver: Receiver) -> None:
    project_id = site.project("Told")
    answer = registered(
        site,
        receiver.url("served"),
        names=["view.*"],
        project_id=project_id,
        description="Ticker",
    )
    site.view(project_id)
    [got] = receiver.wait("served", 1)
    got.verify(answer["secret"])
    row = shown(site, answer["id"])
    assert (row["url"], row["names"]) == (receiver.url("served"), ["view.*"])
    assert (row["project_id"], row["description"]) == (project_id, "Ticker")
    assert (row["state"], row["reason"]) == ("active", None)
    assert {row["registered_by"], row["owner"], row["vouched_by"]} == {"administrator"}
    assert row["position"] + row["behind"] >= got.sequence
    listed = site.http.get(HOOKS).raise_for_status().json()
    assert [one["webhook_id"] for one in listed["items"]].count(answer["id"]) == 1


def test_the_secret_is_shown_to_the_command_alone_that_made_it(
    site: Scene, receiver: Receiver, database: Database
) -> None:
    url = receiver.url("secret?token=hidden")
    first = register(site, url, key="register-1").json()
    assert register(site, url, key="register-1").json()["secret"] == first["secret"]
    assert register(site, receiver.url("x"), key="register-1").status_code == HTTPStatus.CONFLICT
    path = f"{HOOKS}/{first['id']}"
    rotated = site.http.post(f"{path}/rotate", headers={"Idempotency-Key": "rotate-1"}).json()
    again = site.http.post(f"{path}/rotate", headers={"Idempotency-Key": "rotate-1"}).json()
    assert rotated["secret"] == again["secret"] != first["secret"]
    assert shown(site, first["id"])["url"] == url
    for place in (path, HOOKS, "/api/v1/audit/trail"):
        told = site.http.get(place).raise_for_status().text
        assert first["secret"] not in told
        assert rotated["secret"] not in told
    with psycopg.connect(database.admin_url) as connection:
        query = "SELECT string_agg(convert_from(state, 'UTF8'), '') FROM log.stemma_events"
        events = str(connection.execute(query).fetchone())
        query = "SELECT string_agg(convert_from(result, 'UTF8'), '') FROM log.commands"
        results = str(connection.execute(query).fetchone())
    assert first["id"] in results
    for hidden in (first["secret"], rotated["secret"], "token=hidden"):
        assert hidden not in events + results


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({"url": "https://10.0.0.1/in"}, "url", "10.0.0.1, which is not a public address"),
        ({"url": "https://169.254.169.254/latest"}, "url", "STEMMA_WEBHOOK_ALLOW"),
        ({"url": "http://ada:pw@127.0.0.1/"}, "url", "user name"),
        ({"url": "https://nobody.invalid/"}, "url", "cannot be resolved"),
        ({"url": f"http://127.0.0.1/{'x' * 2000}"}, "url", "2000"),
        ({"url": "http://127.0.0.1/", "names": ["version.*", "versions.*"]}, "names", "version.*"),
        ({"url": "http://127.0.0.1/", "secret": "mine"}, "secret", "unknown"),
    ],
)
def test_bad_input_is_named(site: Scene, body: dict[str, Any], field: str, says: str) -> None:
    response = site.http.post(HOOKS, json=body)
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    [error] = response.json()["errors"]
    assert error["field"].removeprefix("data.") == field
    assert says in error["detail"]


def test_a_webhook_of_a_project_that_is_not_there_is_refused(
    site: Scene, receiver: Receiver
) -> None:
    response = register(site, receiver.url("x"), project_id="nowhere")
    assert response.status_code == HTTPStatus.NOT_FOUND


def test_a_webhook_is_paused_replayed_resumed_and_removed(site: Scene, receiver: Receiver) -> None:
    answer = registered(site, receiver.url("life"), names=["project.created"])
    path = f"{HOOKS}/{answer['id']}"

    def ask(what: str, **body: object) -> httpx.Response:
        return site.http.post(f"{path}/{what}", json=body or None)

    assert ask("pause").json()["revision"] == 2
    assert shown(site, answer["id"])["state"] == "paused"
    beyond = ask("replay", after=site.store.head() + 1)
    assert beyond.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert beyond.json()["errors"][0]["field"] == "after"
    stale = site.http.post(f"{path}/replay", json={"after": 0}, headers={"If-Match": '"1"'})
    assert stale.status_code == HTTPStatus.PRECONDITION_FAILED
    ask("replay", after=0).raise_for_status()
    assert shown(site, answer["id"])["position"] == 0
    site.project("Replayed")
    ask("resume").raise_for_status()
    created = [one.position for one in site.store.read_all(names=["project.created"])]
    receiver.wait("life", len(created))
    assert receiver.sequences("life") == created
    key = {"Idempotency-Key": "remove-1"}
    for _ in range(2):
        site.http.delete(path, headers=key).raise_for_status()
    assert site.http.get(path).status_code == HTTPStatus.NOT_FOUND
    assert ask("resume").status_code == HTTPStatus.NOT_FOUND
    assert ask("test").status_code == HTTPStatus.NOT_FOUND


def test_how_far_each_webhook_is_behind_is_in_the_metrics(
    site: Scene, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "FRESH_SECONDS", 0.0)
    key = registered(site, receiver.url("metered"))["id"]

    def behind(state: str) -> float | None:
        return counted(site, "stemma_webhook_behind").get((state, key))

    eventually(lambda: behind("active") == 0)
    site.http.post(f"{HOOKS}/{key}/pause").raise_for_status()
    for number in range(3):
        site.project(f"Unheard {number}")
    eventually(lambda: behind("paused") == site.store.head() - shown(site, key)["position"] > 2)
    assert counted(site, "stemma_webhook_failures")[(key,)] == 0
    site.http.delete(f"{HOOKS}/{key}").raise_for_status()
    eventually(lambda: key not in site.http.get("/metrics").text)


def test_an_unknown_webhook_is_not_found(site: Scene) -> None:
    assert site.http.get(f"{HOOKS}/nothing").status_code == HTTPStatus.NOT_FOUND
    assert site.http.post(f"{HOOKS}/nothing/rotate").status_code == HTTPStatus.NOT_FOUND


def test_a_test_message_says_what_the_receiver_answers(site: Scene, receiver: Receiver) -> None:
    answer = registered(site, receiver.url("tested"), names=["model.*"])
    path = f"{HOOKS}/{answer['id']}"
    receiver.reply = lambda _: Reply(418)
    tried = site.http.post(f"{path}/test").raise_for_status().json()
    assert (tried["status"], tried["trouble"]) == (418, "answered 418")
    receiver.reply = lambda _: OK
    tried = site.http.post(f"{path}/test").raise_for_status().json()
    assert (tried["status"], tried["trouble"]) == (204, None)
    rotated = site.http.post(f"{path}/rotate").raise_for_status().json()
    site.http.post(f"{path}/test").raise_for_status()
    receiver.at("tested")[-1].verify(rotated["secret"])
    for got in receiver.at("tested"):
        got.verify(answer["secret"])  # after the rotation, too
        assert got.event["type"] == "webhook.registered"


ADMINISTRATOR, VIEWER = frozenset({Role.ADMINISTRATOR}), frozenset({Role.VIEWER})


@pytest.mark.parametrize(
    ("grants", "project_id", "refusal"),
    [
        (Grants(ADMINISTRATOR), None, None),
        (Grants(ADMINISTRATOR), "p", None),
        (Grants(by_project={"p": ADMINISTRATOR}), "p", None),
        (Grants(by_project={"p": ADMINISTRATOR}), None, Forbidden),
        (Grants(VIEWER, {"q": ADMINISTRATOR}), "p", Forbidden),
        (Grants(by_project={"p": VIEWER, "q": ADMINISTRATOR}), "p", Forbidden),
        (Grants(by_project={"q": ADMINISTRATOR}), "p", NotFound),
    ],
)
def test_a_webhook_is_for_administrators_of_what_it_tells(
    grants: Grants, project_id: str | None, refusal: type[Exception] | None
) -> None:
    if refusal is None:
        refuse_others(grants, project_id)
        return
    with pytest.raises(refusal):
        refuse_others(grants, project_id)


def test_each_administers_what_is_theirs(site: Scene, receiver: Receiver) -> None:
    mine, other = site.project("Mine"), site.project("Other")
    ada = site.person("ada", "viewer")
    assert ada.get(HOOKS).status_code == HTTPStatus.FORBIDDEN
    where = {"role": "administrator", "project_id": mine}
    site.post(f"/accounts/{account_id('ada')}/roles", where)
    hidden = registered(site, receiver.url("theirs"), project_id=other)
    for project_id, status in ((mine, 201), (other, 403), (None, 403)):
        body = {"url": receiver.url("hers"), "project_id": project_id}
        assert ada.post(HOOKS, json=body).status_code == status
    [row] = ada.get(HOOKS).raise_for_status().json()["items"]
    assert (row["project_id"], row["registered_by"]) == (mine, "ada")
    path = f"{HOOKS}/{hidden['id']}"
    assert ada.get(path).status_code == HTTPStatus.NOT_FOUND
    assert ada.delete(path).status_code == HTTPStatus.NOT_FOUND
    for what in ("pause", "resume", "rotate", "test"):
        assert ada.post(f"{path}/{what}").status_code == HTTPStatus.NOT_FOUND
    replay = ada.post(f"{path}/replay", json={"after": 0})
    assert replay.status_code == HTTPStatus.NOT_FOUND
    assert shown(site, hidden["id"])["revision"] == 1
    ada.delete(f"{HOOKS}/{row['webhook_id']}").raise_for_status()
    ada.close()


def stemma(site: Scene, *arguments: str, fails: bool = False) -> str:
    done = CliRunner().invoke(
        main, ["webhooks", *arguments], env={**site.environment, "COLUMNS": "300"}
    )
    assert (done.exit_code != 0) is fails, done.output
    return done.stderr if fails else done.stdout


def test_the_shell_does_it_all(site: Scene, receiver: Receiver) -> None:
    project_id = site.project("Shell")
    site.visible()
    url = receiver.url("shell")
    told = stemma(site, "add", url, "--name", "version.*", "--project", "Shell")
    webhook_id, secret = (line.split()[1] for line in told.splitlines())
    assert "accepted: the receiver answered 204" in stemma(site, "test", webhook_id)
    receiver.at("shell")[0].verify(secret)
    assert webhook_id in stemma(site, "list")
    assert f"project id: {project_id}" in stemma(site, "show", webhook_id)
    assert "is paused" in stemma(site, "pause", webhook_id)
    replayed = stemma(site, "replay", webhook_id, "--after", "0")
    assert "is paused: events after 0 are sent again, once it is resumed" in replayed
    assert "is active" in stemma(site, "resume", webhook_id)
    assert "secret whsec_" in stemma(site, "rotate", webhook_id)
    assert "is removed" in stemma(site, "remove", webhook_id, "--yes")
    assert "webhook not found" in stemma(site, "show", webhook_id, fails=True)
    assert "not a public address" in stemma(site, "add", "https://10.0.0.1", fails=True)
    assert "project 'None' not found" in stemma(site, "add", url, "--project", "None", fails=True)
