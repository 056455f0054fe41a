"""Which events of the feed somebody is sent: by name, by what they belong to, and by right."""

from collections.abc import Collection, Sequence

import msgspec

from application.scopes import Scopes
from domain.aggregates import AGGREGATES
from domain.audit.places import EVENT, MODEL, PROJECT, VERSION, VIEW, StreamScope, own_terms
from domain.errors import Invalid
from domain.event import Recorded
from domain.subscriptions.event_filter import checked, matching

SUBJECT, READABLE = "subject", "readable in"
_FROM_THE_STREAM = {PROJECT, VIEW, MODEL, READABLE}


def terms_of(recorded: Recorded, place: StreamScope) -> frozenset[str]:
    """All terms that hold for an event of a stream that belongs there."""
    readable = f"{READABLE}:{place.project_id or ''}"
    return frozenset([*own_terms(recorded), *place.terms, f"{SUBJECT}:{recorded.stream}", readable])


class Wanted(msgspec.Struct, frozen=True):
    """The events for which at least one term of each group holds; all, where there is no group.

    `names` and `streams`, where there are any, are the only ones that events wanted have: what one
    of the groups says too, in a form by which the log can be searched.
    """

    groups: tuple[frozenset[str], ...] = ()
    names: frozenset[str] = frozenset()
    streams: frozenset[str] = frozenset()

    @classmethod
    def named(cls, names: frozenset[str]) -> "Wanted":
        """The events of these names; all, where there is none."""
        group = frozenset(f"{EVENT}:{key}" for key in names)
        return cls((group,) if group else (), names)

    def covers(self, terms: frozenset[str]) -> bool:
        return not any(group.isdisjoint(terms) for group in self.groups)

    def within(self, projects: Collection[str] | None) -> "Wanted":
        """Of these, only what is of streams in some projects; None stands for all that there is.

        An event that only speaks of a project, as of a role in it, is of an account's stream.
        """
        if projects is None:
            return self
        readable = frozenset(f"{READABLE}:{key}" for key in projects)
        return msgspec.structs.replace(self, groups=(*self.groups, readable))

    @property
    def asks_for_places(self) -> bool:
        """Whether an event's terms decide that it has from its stream only."""
        kinds = {term.partition(":")[0] for group in self.groups for term in group}
        return not kinds.isdisjoint(_FROM_THE_STREAM)


class Chosen(msgspec.Struct, frozen=True):
    """The filters of a request, each with the values that it may have."""

    name: Sequence[str] = ()
    subject: Sequence[str] = ()
    project: Sequence[str] = ()
    view: Sequence[str] = ()
    model: Sequence[str] = ()
    version: Sequence[str] = ()

    def wanted(self, scopes: Scopes, projects: Collection[str] | None) -> Wanted:
        """What that comes to. Raises `Invalid`, also for what is in no project of these."""
        names = matching(checked(self.name, "name"))
        streams = frozenset(map(_subject, self.subject))
        groups = [{f"{EVENT}:{key}" for key in names}, {f"{SUBJECT}:{key}" for key in streams}]
        for kind in (PROJECT, VIEW, MODEL, VERSION):
            keys: Sequence[str] = getattr(self, kind)
            _refuse_unknown(scopes, kind, keys, projects)
            groups.append({f"{kind}:{key}" for key in keys})
        return Wanted(tuple(frozenset(group) for group in groups if group), names, streams)


def _subject(subject: str) -> str:
    kind, _, key = subject.partition("-")
    if kind not in AGGREGATES or not key or "\0" in key:
        raise Invalid(
            f"subject is {subject!r}; give a kind and an id, such as version-4154e738-…; the kinds"
            f" are {', '.join(sorted(AGGREGATES))}",
            field="subject",
        )
    return subject


def _refuse_unknown(
    scopes: Scopes, kind: str, keys: Sequence[str], projects: Collection[str] | None
) -> None:
    project_by_subject = scopes.projects_of(f"{kind}-{key}" for key in keys)
    for key in keys:
        project = project_by_subject[f"{kind}-{key}"]
        if project is None or (projects is not None and project not in projects):
            raise Invalid(f"{kind} {key!r} not found", field=kind)
