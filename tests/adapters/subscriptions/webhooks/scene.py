"""A log, the part that delivers its events, and a receiver: what tests of webhooks share."""

import itertools
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from adapters.postgres.postgres import engine_for
from adapters.settings import Settings
from adapters.subscriptions.webhooks.positions import DeliveryState, webhook_lags
from application.access.access import Caller
from application.access.accounts import grant_role, open_account, withdraw_role
from application.dataset import projects
from application.handle import Decided, Outcome, Session, handle
from application.log.store import Store
from application.webhooks import (
    Endpoint,
    find_endpoint,
    new_secret,
    register_webhook,
)
from domain.access.account import GrantRole, OpenAccount, WithdrawRole, account_id
from domain.access.roles import Role
from domain.aggregates import PROJECT, WEBHOOK
from domain.dataset.project import RenameProject
from domain.subscriptions.webhook import Command, RegisterWebhook
from tests.adapters.running import eventually, running
from tests.adapters.subscriptions.webhooks.receiver import Receiver, receiving
from tests.application.scenes import EVERYTHING, request
from tests.servers import Database
from tests.waiting import HANG_SECONDS

QUICK: dict[str, Any] = {
    "webhook_allow": "127.0.0.0/8",
    "webhook_timeout_seconds": HANG_SECONDS,
    "webhook_retry_seconds": 0.02,
    "webhook_retry_ceiling_seconds": 0.1,
}

ADA = "ada"
"""An administrator, who does what tests do."""

BY = Caller(actor=ADA, account_id=account_id(ADA), grants=EVERYTHING)


class Hooks:
    """Webhooks of one log; each test has paths of its own on the receiver."""

    def __init__(self, store: Store, settings: Settings, receiver: Receiver) -> None:
        self.store = store
        self.settings = settings
        self.receiver = receiver
        self._numbers = itertools.count(1)

    @contextmanager
    def delivering(self, **changes: Any) -> Iterator[None]:
        """The part runs, with other settings where some are given."""
        with running(msgspec.structs.replace(self.settings, **changes), "courier"):
            yield

    def do(self, decide: Callable[[Session], Decided[Any]], actor: str = ADA) -> Outcome:
        return handle(self.store, msgspec.structs.replace(request(), actor=actor), decide)

    def person(self, name: str, project_id: str | None = None) -> str:
        """An administrator, of a project or of all; the name."""
        self.do(lambda s: open_account(s, OpenAccount(name)))
        role = GrantRole(Role.ADMINISTRATOR, project_id)
        self.do(lambda s: grant_role(s, account_id(name), role, BY))
        return name

    def depose(self, name: str, project_id: str) -> None:
        """The administrator of a project is none any more."""
        role = WithdrawRole(Role.ADMINISTRATOR, project_id)
        self.do(lambda s: withdraw_role(s, account_id(name), role, BY))

    def project(self) -> str:
        """An event: another project."""
        name = f"Project {next(self._numbers)}"
        return self.do(lambda s: projects.create_project(s, name)).id

    def rename(self, project_id: str, times: int) -> list[int]:
        """So many events of a project; their positions."""
        return [
            self.do(lambda s, n=name: s.change(PROJECT, project_id, RenameProject(n))).position  # type: ignore[misc]
            for name in (f"Name {next(self._numbers)}" for _ in range(times))
        ]

    def register(
        self,
        path: str,
        *,
        url: str = "",
        project_id: str | None = None,
        names: tuple[str, ...] = (),
        actor: str = ADA,
    ) -> Endpoint:
        """A webhook to a path of the receiver, or to a URL."""
        command = RegisterWebhook(
            url or self.receiver.url(path), "127.0.0.1", names, project_id, "", new_secret()
        )
        return self.find(self.do(lambda s: register_webhook(s, command), actor).id)

    def change(self, hook: Endpoint, command: Command, actor: str = ADA) -> Endpoint:
        self.do(lambda s: s.change(WEBHOOK, hook.webhook_id, command), actor)
        return self.find(hook.webhook_id)

    def find(self, webhook_id: str) -> Endpoint:
        return find_endpoint(self.store, webhook_id)

    def place(self, hook: Endpoint) -> DeliveryState:
        now = self.find(hook.webhook_id)
        with engine_for(self.store.database_url).connect() as connection:
            return webhook_lags(connection, [now], self.store.head())[0].place

    def served(self, hook: Endpoint) -> None:
        """Wait until the webhook has been served up to the log's end."""
        head = self.store.head()
        eventually(lambda: self.place(hook).position >= head)

    def state(self, hook: Endpoint) -> tuple[str, str | None]:
        webhook = self.find(hook.webhook_id).webhook
        return webhook.state, webhook.reason


def settings_with(database: Database, **changes: Any) -> Settings:
    settings = Settings(data=Path(tempfile.gettempdir()), database_url=database.app_url, **QUICK)
    return msgspec.structs.replace(settings, **changes)


@contextmanager
def hooks_on(database: Database, **changes: Any) -> Iterator[Hooks]:
    """The log and the receiver; no part runs yet."""
    settings = settings_with(database, **changes)
    with closing(Store(database.app_url)) as store, receiving() as receiver:
        hooks = Hooks(store, settings, receiver)
        hooks.person(ADA)
        yield hooks
    engine_for(database.app_url).dispose()
