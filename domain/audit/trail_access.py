"""Descriptions of the events of accounts and keys on the trail."""

from domain.access import account, key
from domain.access.key import Scope
from domain.aggregates import ACCOUNT, PROJECT
from domain.audit.trail_descriptions import Description, States, named_in
from domain.event import Event
from domain.formatting import moment


def of_account(event: Event, subject: str, states: States) -> Description | None:
    match event:
        case account.AccountOpened(name=name, kind=kind):
            return Description(f"account '{name}' of a {kind} opened")
        case account.RoleGranted(role=role, project_id=project):
            return Description(f"role {role} granted to {subject} in {_where(states, project)}")
        case account.RoleWithdrawn(role=role, project_id=project):
            return Description(f"role {role} withdrawn from {subject} in {_where(states, project)}")
        case account.GroupRoleGranted(role=role, project_id=project, group=group):
            where = _where(states, project)
            return Description(
                f"role {role} granted to {subject} in {where}, for the group {group}"
            )
        case account.GroupRoleWithdrawn(role=role, project_id=project, group=group):
            where = _where(states, project)
            return Description(f"role {role} withdrawn from {subject} in {where}: group {group}")
        case account.IdentityLinked(issuer=issuer):
            return Description(f"{subject} linked to an identity of {issuer}")
        case account.AccountClosed():
            return Description(f"{subject} closed")
        case account.AccountErased(reason=reason):
            return Description(f"personal data of {subject} erased: {reason}")
    return None


def _where(states: States, project_id: str | None) -> str:
    return "all projects" if project_id is None else named_in(states, PROJECT.stream(project_id))


def of_key(event: Event, subject: str, states: States) -> Description | None:
    match event:
        case key.KeyIssued() as issued:
            whose = named_in(states, ACCOUNT.stream(issued.account_id))
            ends = f" until {moment(issued.expires_at)}" if issued.expires_at else ""
            return Description(
                f"key '{issued.label}' issued to {whose}{ends}, {_limits(issued.scope, states)}"
            )
        case key.KeyRotated(earlier_until=until):
            return Description(
                f"{subject} rotated; its previous secret is valid until {moment(until)}"
            )
        case key.KeyRevoked():
            return Description(f"{subject} revoked")
        case key.InvitationIssued() as issued:
            whose = named_in(states, ACCOUNT.stream(issued.account_id))
            return Description(f"{whose} invited by a link until {moment(issued.expires_at)}")
        case key.InvitationAccepted():
            return Description(f"{subject} accepted; it now has its own secret")
    return None


def _limits(scope: Scope, states: States) -> str:
    limits = []
    if scope.roles is not None:
        limits.append(f"as {', '.join(scope.roles)}")
    if scope.projects is not None:
        named = [named_in(states, PROJECT.stream(project)) for project in scope.projects]
        limits.append(f"in {', '.join(named)}")
    return f"limited: {'; '.join(limits)}" if limits else "not limited"
