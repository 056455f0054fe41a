"""Who may do what: rights, the roles that carry them, and the roles that somebody was granted."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class Right(StrEnum):
    """What a request asks for."""

    READ = "read"
    ANNOTATE = "annotate"
    TRAIN = "train"
    TEST = "test"
    AUDIT = "audit"
    ADMINISTER = "administer"


class Role(StrEnum):
    """What a person or a service is in a project, or in all of them."""

    VIEWER = "viewer"
    ANNOTATOR = "annotator"
    TRAINER = "trainer"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


RIGHTS: Mapping[Role, frozenset[Right]] = {
    Role.VIEWER: frozenset({Right.READ}),
    Role.ANNOTATOR: frozenset({Right.READ, Right.ANNOTATE}),
    Role.TRAINER: frozenset({Right.READ, Right.ANNOTATE, Right.TRAIN}),
    Role.AUDITOR: frozenset({Right.READ, Right.AUDIT}),
    Role.ADMINISTRATOR: frozenset(Right),
}


class GroupRole(msgspec.Struct, frozen=True):
    """What being in a group of the identity provider's gives: a role, in a project or in all."""

    group: str
    role: Role
    project_id: str | None = None


class Grants(msgspec.Struct, frozen=True):
    """The roles that somebody has: in all projects, those to come included, and in single ones."""

    everywhere: frozenset[Role] = frozenset()
    by_project: Mapping[str, frozenset[Role]] = {}

    def may(self, right: Right, project_id: str | None = None) -> bool:
        """Whether the right is granted in this project; without one, in all projects."""
        roles = self.everywhere
        if project_id is not None:
            roles |= self.by_project.get(project_id, frozenset())
        return any(right in RIGHTS[role] for role in roles)

    def may_somewhere(self, right: Right) -> bool:
        """Whether there is a project in which they may."""
        return self.projects(right) != frozenset()

    def projects(self, right: Right) -> frozenset[str] | None:
        """The projects in which they may; None stands for all."""
        if self.may(right):
            return None
        return frozenset(
            project_id for project_id in self.by_project if self.may(right, project_id)
        )
