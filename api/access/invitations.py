"""Routes of invitations: a link that opens an account's first key, once."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
from litestar import Controller, Response, post
from litestar.params import JSONBody
from msgspec import Meta

from api.access.limits import Failures
from api.access.rights import OPEN, needs
from api.access.session_cookies import refuse_other_origins
from api.access.sign_in import LARGEST_SIGN_IN
from api.http.commands import envelope
from api.http.parameters import HttpRequest, Served
from api.http.schemas import Strict
from application.access.accounts import accept_invitation, find, invite
from application.handle import Request, handle
from domain.access.account import GrantRole, OpenAccount, account_id
from domain.access.key import (
    LONGEST_INVITATION,
    AcceptInvitation,
    IssueInvitation,
    Key,
    digest_of,
    key_text,
    new_secret,
    parse_key,
)
from domain.access.roles import Right, Role
from domain.aggregates import ACCOUNT, KEY
from domain.errors import Unauthenticated

LINK = "/login#invitation="


class NewInvitation(Strict, frozen=True, kw_only=True):
    """The account `name`, which is opened if there is none, and its role: in one project, or in all
    without `project_id`."""

    name: str
    role: Role
    project_id: str | None = None
    email: str | None = None
    days: Annotated[int, Meta(ge=1, le=LONGEST_INVITATION.days)] = 7


class Invitation(msgspec.Struct, frozen=True):
    """`link` is a path of this server, shown once: it is null where the request repeats an earlier
    one; invite again then. `id` is that of the account's new key."""

    id: str
    account_id: str
    revision: int
    position: int
    link: str | None
    expires_at: datetime


class AcceptedInvitation(Strict, frozen=True, kw_only=True):
    """The text after `invitation=` in the link."""

    invitation: str


class OwnKey(msgspec.Struct, frozen=True):
    """The account and its key, which is shown only in this answer."""

    actor: str
    key: str


class InvitationController(Controller):
    """Invitations."""

    path = "/invitations"
    tags = ("Access",)

    @post(summary="Invite somebody", sync_to_thread=True, opt=needs(Right.ADMINISTER))
    def create_invitation(
        self, backend: Served, request: HttpRequest, data: JSONBody[NewInvitation]
    ) -> Response[Invitation]:
        """Open an account with a role, and make a link with which its owner gets a key.

        The link works once, and only for accepting the invitation. If the account exists, the role
        is granted and another link is made.
        """
        secret, now = new_secret(), datetime.now(UTC)
        owner, lasts = account_id(data.name.strip()), timedelta(days=data.days)
        invitation = IssueInvitation(owner, "invitation", digest_of(secret), now, lasts)
        outcome = handle(
            backend.store,
            envelope(request, data),
            lambda session: invite(
                session,
                OpenAccount(data.name, email=data.email),
                GrantRole(data.role, data.project_id),
                invitation,
                request.user,
            ),
        )
        key: Key | None = find(backend.store, KEY, outcome.id)
        made_here = key is not None and key.opens(digest_of(secret), now)
        return Response(
            Invitation(
                outcome.id,
                owner,
                outcome.revision,
                outcome.position,
                LINK + key_text(outcome.id, secret) if made_here else None,
                (key.expires_at if key else None) or now + lasts,
            ),
            status_code=201,
            headers={"Cache-Control": "no-store"},
        )

    @post(
        "/accept",
        summary="Accept an invitation",
        status_code=200,
        sync_to_thread=True,
        request_max_body_size=LARGEST_SIGN_IN,
        opt=OPEN,
    )
    def accept_invitation(
        self, backend: Served, request: HttpRequest, data: JSONBody[AcceptedInvitation]
    ) -> Response[OwnKey]:
        """The account's key, in exchange for the link's secret, once."""
        refuse_other_origins(request)
        failures: Failures = request.app.state.failures
        secret = new_secret()
        text = data.invitation.strip()
        with failures.counting(request):
            parsed = parse_key(text)
            key = find(backend.store, KEY, parsed[0]) if parsed else None
            account = find(backend.store, ACCOUNT, key.account_id) if key else None
            if account is None:
                raise Unauthenticated(
                    "the invitation is unknown: ask for another one", reason="unknown invitation"
                )
            acceptance = Request(
                actor=account.name,
                command_id=str(uuid.uuid4()),
                correlation_id=str(request.state["correlation_id"]),
            )
            command = AcceptInvitation(digest_of(secret), datetime.now(UTC))
            outcome = handle(
                backend.store, acceptance, lambda session: accept_invitation(session, text, command)
            )
        return Response(
            OwnKey(account.name, key_text(outcome.id, secret)),
            headers={"Cache-Control": "no-store"},
        )
