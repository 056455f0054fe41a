"""Permissions on NATS, in the format of nats-server's configuration.

Each guest (a worker, a subscriber, the API) has its own account, which imports single subjects.
Permissions of users are not enough: they do not cover the reply subject of a request, with which a
subscriber could write to any stream, and purge one.
"""

import json
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from adapters.nats.jetstream import (
    CHECKPOINT_SUBJECT,
    CHECKPOINTS,
    CONTROL_BUCKET,
    CONTROL_STREAM,
    DOMAIN,
    EVENTS,
    JOBS,
    REPORTS,
    STREAM_NAMES,
    WORKERS_BUCKET,
    WORKERS_STREAM,
    job_consumer,
    report_subject,
)
from adapters.nats.login import inbox_of

ACCOUNT = "STEMMA"
API, GUEST_API = "$JS.API.", f"$JS.{DOMAIN}.API."
SYSTEM_ACCOUNT, SYSTEM_USER = "$SYS", "system"
PASSWORD = "$NATS_PASSWORD"


class NatsRole(StrEnum):
    """The role of a NATS user."""

    OPERATOR = "operator"
    BACKEND = "backend"
    API = "api"
    WORKER = "worker"
    SUBSCRIBER = "subscriber"


class User(msgspec.Struct, frozen=True):
    """A user with its own key; `queue` is the one that a worker pulls jobs from.

    Those that are `issued` follow from the log: the API made their seeds, and no file has them.
    """

    role: NatsRole
    name: str
    key: str
    queue: str = "default"
    issued: bool = False

    @property
    def account(self) -> str:
        return f"{self.role}-{self.name}"


def configuration(users: Sequence[User], tls: dict[str, Any], with_password: bool) -> str:
    """The accounts, users and permissions of nats-server's configuration.

    `with_password` adds a login for the operator with the password in NATS_PASSWORD, and one that
    may ask the server for its health.
    """
    guests = {user.account: user for user in users if user.role in _ALLOWED}
    inside: list[dict[str, Any]] = [
        {"nkey": user.key} | _inside(user) for user in users if user.role not in _ALLOWED
    ]
    accounts: dict[str, Any] = {}
    if with_password:
        inside.append({"user": "stemma", "password": PASSWORD})
        accounts[SYSTEM_ACCOUNT] = {"users": [_SYSTEM]}
    exported: dict[tuple[str, str], list[str]] = {}
    for account, user in guests.items():
        imports = []
        for kind, subject in _ALLOWED[user.role](user):
            exported.setdefault((kind, subject), []).append(account)
            here = {"to": subject.replace(API, GUEST_API, 1)} if subject.startswith(API) else {}
            imports.append({kind: {"account": ACCOUNT, "subject": subject}} | here)
        accounts[account] = {"users": [{"nkey": user.key}], "imports": imports}
    accounts[ACCOUNT] = {
        "jetstream": "enabled",
        # So that users of this account can use the guests' API prefix, too.
        "mappings": {f"{GUEST_API}>": f"{API}>"},
        "users": inside,
        "exports": [
            {kind: subject, "accounts": importers} | _response_options(subject)
            for (kind, subject), importers in exported.items()
        ],
    }
    text = f"accounts: {json.dumps(accounts, indent=1, ensure_ascii=False)}\n"
    if tls:
        text += f"tls: {json.dumps(tls, indent=1, ensure_ascii=False)}\n"
    return text.replace(json.dumps(PASSWORD), PASSWORD)


_SYSTEM = {
    "user": SYSTEM_USER,
    "password": PASSWORD,
    "permissions": {"publish": "$SYS.REQ.SERVER.PING.HEALTHZ", "subscribe": "_INBOX.health"},
}


def _response_options(subject: str) -> dict[str, str]:
    """Options of a request for messages: it has many replies, and the first may take long."""
    if ".MSG.NEXT." in subject or ".DIRECT.GET." in subject:
        return {"response_type": "stream", "threshold": "24h"}
    return {}


def _inside(user: User) -> dict[str, Any]:
    if user.role == NatsRole.OPERATOR:
        return {}
    return {
        "permissions": {
            "publish": {"allow": list(_BACKEND)},
            "subscribe": {"allow": [f"{inbox_of(user.key)}.>"]},
        }
    }


_BACKEND = (
    "stemma.events.>",
    "stemma.jobs.>",
    CHECKPOINT_SUBJECT,
    f"$KV.{CONTROL_BUCKET}.>",
    f"{API}INFO",
    f"{API}STREAM.INFO.*",
    *(f"{API}STREAM.CREATE.{stream}" for stream in STREAM_NAMES),
    f"{API}STREAM.MSG.GET.*",
    f"{API}DIRECT.GET.>",
    f"{API}CONSUMER.INFO.>",
    f"{API}CONSUMER.LIST.*",
    *(
        f"{API}CONSUMER.{verb}.{stream}.>"
        for verb in ("CREATE", "DURABLE.CREATE", "DELETE")
        for stream in (JOBS, REPORTS)
    ),
    *(f"{API}CONSUMER.CREATE.{stream}" for stream in (JOBS, REPORTS)),
    f"$JS.FC.{REPORTS}.>",
)


def _worker(user: User) -> Iterator[tuple[str, str]]:
    consumer = f"{JOBS}.{job_consumer(user.queue)}"
    yield "service", f"{API}CONSUMER.INFO.{consumer}"
    yield "service", f"{API}CONSUMER.MSG.NEXT.{consumer}"
    yield "service", f"$JS.ACK.{consumer}.>"
    yield "service", report_subject(user.name, "*")
    yield "service", f"{API}STREAM.INFO.{WORKERS_STREAM}"
    yield "service", f"$KV.{WORKERS_BUCKET}.{user.name}"
    yield "service", f"{API}STREAM.MSG.GET.{CONTROL_STREAM}"
    yield "stream", f"$KV.{CONTROL_BUCKET}.*"


def _subscriber(user: User) -> Iterator[tuple[str, str]]:
    for stream in (EVENTS, CHECKPOINTS):
        consumer = f"{stream}.{user.name}"
        yield "service", f"{API}STREAM.INFO.{stream}"
        yield "service", f"{API}STREAM.MSG.GET.{stream}"
        yield "service", f"{API}DIRECT.GET.{stream}"
        yield "service", f"{API}DIRECT.GET.{stream}.>"
        for verb in ("CREATE", "DURABLE.CREATE", "INFO", "DELETE", "MSG.NEXT"):
            yield "service", f"{API}CONSUMER.{verb}.{consumer}"
        yield "service", f"{API}CONSUMER.CREATE.{consumer}.>"
        yield "service", f"$JS.ACK.{consumer}.>"


def _api(_: User) -> Iterator[tuple[str, str]]:
    for stream in STREAM_NAMES:
        yield "service", f"{API}STREAM.INFO.{stream}"
    for stream in (EVENTS, WORKERS_STREAM):
        yield "service", f"{API}STREAM.MSG.GET.{stream}"
    yield "service", f"{API}CONSUMER.LIST.{JOBS}"


_ALLOWED = {NatsRole.WORKER: _worker, NatsRole.SUBSCRIBER: _subscriber, NatsRole.API: _api}
"""The imports of guests: requests (service) and subscriptions (stream)."""
