"""Whatever users do in whatever order, within a view a model is a set of concepts, one to one."""

from collections.abc import Iterable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from domain.errors import Conflict
from domain.library import model as models
from domain.library import view as views
from domain.library.model import ArchiveModel, Model, NumberVersion
from domain.library.model_rule import ForkModel, ModelChange, decide_model_change, fork
from domain.library.view import AddConcepts, NewConcept, RemoveConcept, RenameConcept, View

LABELS = st.sampled_from("ABCDE")
PICK = st.integers(min_value=0, max_value=99)


class OneModelPerConceptSet(RuleBasedStateMachine):
    """One view whose concepts and models change as `application.views` lets them."""

    def __init__(self) -> None:
        super().__init__()
        self.view = View("p", "pets", "classification")
        self.models: dict[str, Model] = {}
        self.frozen: dict[str, tuple[str, ...]] = {}
        self.ids = (f"id{number:04}" for number in range(9999))

    @rule(labels=st.sets(LABELS, min_size=1, max_size=3))
    def add(self, labels: set[str]) -> None:
        new = tuple(NewConcept(next(self.ids), label) for label in sorted(labels))
        if labels.isdisjoint(self.view.concepts.values()):
            self._change(AddConcepts(new))

    @precondition(lambda self: self.view.concepts)
    @rule(pick=PICK)
    def remove(self, pick: int) -> None:
        self._change(RemoveConcept(self._any_of(self.view.concepts, pick)))

    @precondition(lambda self: self.view.concepts)
    @rule(pick=PICK, label=LABELS)
    def rename(self, pick: int, label: str) -> None:
        before = self.models
        if label not in self.view.concepts.values():
            self._change(RenameConcept(self._any_of(self.view.concepts, pick), label))
        assert self.models == before

    @precondition(lambda self: self.models)
    @rule(pick=PICK, chosen=st.sets(PICK, min_size=1, max_size=4))
    def fork(self, pick: int, chosen: set[int]) -> None:
        parent_id = self._any_of(self.models, pick)
        parent = self.models[parent_id]
        offered = {*self.view.concepts, *parent.concepts}
        concepts = frozenset(self._any_of(offered, number) for number in chosen)
        command = ForkModel(parent_id, tuple(concepts), "a user wanted it")
        known = self.view.models.get(concepts)
        try:
            self._take(fork(command, self.view, parent, next(self.ids)))
        except Conflict:
            assert known is not None
        else:
            assert known is None

    @precondition(lambda self: self.models)
    @rule(pick=PICK)
    def train(self, pick: int) -> None:
        model_id = self._any_of(self.models, pick)
        model = self.models[model_id]
        if not model.archived:
            [numbered] = models.decide(NumberVersion(next(self.ids)), model)
            self.models[model_id] = models.require(models.evolve(model, numbered))
            self.frozen.setdefault(model_id, model.concepts)

    @precondition(lambda self: self.models)
    @rule(pick=PICK)
    def archive(self, pick: int) -> None:
        model_id = self._any_of(self.models, pick)
        for event in models.decide(ArchiveModel(), self.models[model_id]):
            self.models[model_id] = models.require(models.evolve(self.models[model_id], event))

    @invariant()
    def each_model_is_one_set_and_each_set_one_model(self) -> None:
        registered = {model_id: concepts for concepts, model_id in self.view.models.items()}
        assert len(registered) == len(self.view.models)
        assert registered == {key: frozenset(model.concepts) for key, model in self.models.items()}
        assert all(registered.values())

    @invariant()
    def a_model_with_versions_keeps_its_set(self) -> None:
        assert self.frozen == {key: self.models[key].concepts for key in self.frozen}

    @invariant()
    def the_current_model_has_the_views_concepts(self) -> None:
        if self.view.concepts:
            assert self.view.current_model is not None
            current = self.models[self.view.current_model]
            assert frozenset(current.concepts) == frozenset(self.view.concepts)

    @invariant()
    def lineage_leads_back_to_a_model_without_parent(self) -> None:
        for model in self.models.values():
            ancestor, steps = model, 0
            while ancestor.parent is not None:
                ancestor, steps = self.models[ancestor.parent], steps + 1
                assert steps < len(self.models)

    def _change(self, command: AddConcepts | RemoveConcept | RenameConcept) -> None:
        before = self.view
        for event in views.decide(command, before):
            self.view = views.require(views.evolve(self.view, event))
        current = self.models.get(before.current_model) if before.current_model else None
        change = decide_model_change("v", before, self.view, current, next(self.ids))
        if change is not None:
            self._take(change)
        if frozenset(self.view.concepts) not in {frozenset(before.concepts), frozenset()}:
            assert self.view.current_model is not None
            assert not self.models[self.view.current_model].archived

    def _take(self, change: ModelChange) -> None:
        model = self.models.get(change.model_id)
        for event in change.model_events:
            model = models.evolve(model, event)
        self.models = self.models | {change.model_id: models.require(model)}
        for event in change.view_events:
            self.view = views.require(views.evolve(self.view, event))

    def _any_of(self, things: Iterable[str], pick: int) -> str:
        ordered = sorted(things)
        return ordered[pick % len(ordered)]


TestOneModelPerConceptSet = OneModelPerConceptSet.TestCase
TestOneModelPerConceptSet.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None
)
