"""Groups on the log: draws, the key and what it mends, moves, images that join, all at once."""

import hashlib
from collections import Counter
from collections.abc import Collection

import pytest

from application.dataset import groups, projects
from application.dataset.dataset import images_at
from application.handle import Outcome
from application.log.store import Store
from domain.aggregates import IMAGE
from domain.dataset.groups import groups_of
from domain.dataset.image import AddImage, AssignSplit, RemoveImage
from domain.dataset.project import GroupKeySet, ValidationSplitDrawn
from domain.dataset.splits import DrawSplit
from domain.errors import Conflict, Invalid
from tests.application.scenes import at_once, do, insist


class Patients:
    """A project with images of patients: `sizes` images of each, and one without a patient."""

    def __init__(self, store: Store, *sizes: int) -> None:
        self.store = store
        self.project = do(store, lambda s: projects.create_project(s, "Scans")).id
        self._number = 0
        self.by_patient = {
            f"patient {number}": self.add(f"patient {number}", size)
            for number, size in enumerate(sizes)
        }
        (self.single,) = self.add(None, 1)

    def add(self, patient: str | None, count: int) -> tuple[str, ...]:
        additions = []
        for _ in range(count):
            self._number += 1
            blob = hashlib.sha256(b"%d" % self._number).hexdigest()
            metadata = {} if patient is None else {"patient": patient}
            additions.append(AddImage(self.project, blob, 8, 8, f"{blob[:8]}.png", metadata))
        return insist(self.store, lambda s: projects.add_images(s, self.project, additions)).ids

    def splits(self) -> dict[str, Counter[str]]:
        """The splits of each patient's images."""
        placed = images_at(self.store, self.project, self.store.head(), personal=True)
        found: dict[str, Counter[str]] = {}
        for image in placed:
            value = image.state.added.metadata.get("patient", "")
            found.setdefault(value, Counter())[image.state.split] += 1
        return found

    def torn(self) -> list[str]:
        pairs = [
            (value, split)
            for value, counts in self.splits().items()
            if value
            for split in counts.elements()
        ]
        return [group.value for group in groups_of(pairs) if group.is_torn]

    def group(self, mend: str | None = None, key: str | None = "patient") -> Outcome:
        draw = DrawSplit(0.5, 3)
        return do(self.store, lambda s: groups.set_group_key(s, self.project, key, mend, draw))

    def tear(self, image_id: str, split: str) -> None:
        """Assign an image alone, as is possible before its project has a key."""
        do(self.store, lambda s: s.change(IMAGE, image_id, AssignSplit(split)))

    def draw(self, seed: int) -> None:
        command = DrawSplit(0.4, seed)
        insist(self.store, lambda s: projects.draw_validation_split(s, self.project, command))

    def move(self, image_id: str, split: str) -> tuple[str, ...]:
        return insist(
            self.store,
            lambda s: groups.assign_split(s, image_id, AssignSplit(split), self.members),
        ).ids

    def members(self, project_id: str, key: str, value: str) -> tuple[Collection[str], int]:
        """As the read model has them, from the log."""
        position = self.store.head()
        placed = images_at(self.store, project_id, position, personal=True)
        ids = [one.image_id for one in placed if one.state.added.metadata.get(key) == value]
        return ids, position


def test_draws_take_whole_groups(store: Store) -> None:
    scene = Patients(store, 6, 4, 3, 3, 2, 2)
    scene.group()
    validation = DrawSplit(0.3, 1)
    do(store, lambda s: projects.draw_validation_split(s, scene.project, validation))
    do(store, lambda s: projects.draw_test_set(s, scene.project, DrawSplit(3, 2)))
    total: Counter[str] = sum(scene.splits().values(), Counter())
    assert scene.torn() == []
    assert total == {"validation": 6, "test": 3, "train": 12}
    (drawn,) = [
        recorded.event
        for recorded in store.read(after=0, limit=1000)
        if isinstance(recorded.event, ValidationSplitDrawn)
    ]
    assert (drawn.group_key, drawn.images, drawn.validation_images) == ("patient", 21, 6)


def test_a_key_that_splits_tear_names_them_and_mends_on_request(store: Store) -> None:
    scene = Patients(store, 3, 3, 2)
    first, second, third = scene.by_patient.values()
    for image_id in (first[0], second[0], second[1], third[0]):
        scene.tear(image_id, "validation")
    with pytest.raises(Conflict, match="divide 3 of 3 groups by 'patient'") as refused:
        scene.group()
    assert refused.value.field == "mend"
    assert "'patient 0' (2 train, 1 validation)" in refused.value.detail
    head = store.head()
    done = scene.group("majority")
    assert done.counts == {"groups": 3, "torn": 3, "moved": 3}
    assert scene.splits() == {
        "patient 0": {"train": 3},
        "patient 1": {"validation": 3},
        "patient 2": {"train": 2},
        "": {"train": 1},
    }
    assert [
        recorded.event
        for recorded in store.read(after=head, limit=1000)
        if isinstance(recorded.event, GroupKeySet)
    ] == [GroupKeySet("patient", head, 3, 3, "majority")]
    assert scene.group().revision == done.revision  # set already
    scene.group(key=None)
    assert scene.move(first[0], "test") == (first[0],)


def test_torn_groups_are_mended_by_drawing_again(store: Store) -> None:
    scene = Patients(store, *[2] * 10)
    for members in list(scene.by_patient.values())[:4]:
        scene.tear(members[0], "validation")
    for members in list(scene.by_patient.values())[4:6]:
        scene.tear(members[0], "test")
    with pytest.raises(Conflict, match="no test image would be left"):
        scene.group("majority")
    scene.group("draw")
    assert scene.torn() == []
    total: Counter[str] = sum(scene.splits().values(), Counter())
    assert total == {"validation": 4, "test": 2, "train": 15}


@pytest.mark.parametrize(
    ("key", "mend", "field"), [("", None, "key"), ("patient", "guess", "mend")]
)
def test_what_is_no_key_or_no_way_to_mend_is_refused(
    store: Store, key: str, mend: str | None, field: str
) -> None:
    scene = Patients(store, 2)
    with pytest.raises(Invalid) as refused:
        scene.group(mend, key)
    assert refused.value.field == field


def test_an_image_takes_its_group_along(store: Store) -> None:
    scene = Patients(store, 3, 2)
    scene.group()
    first, second = scene.by_patient.values()
    do(store, lambda s: s.change(IMAGE, first[2], RemoveImage()))
    assert sorted(scene.move(first[1], "validation")) == sorted(first[:2])
    assert scene.move(scene.single, "test") == (scene.single,)
    assert scene.move(first[0], "validation") == ()
    assert scene.splits() == {
        "patient 0": {"validation": 2},
        "patient 1": {"train": 2},
        "": {"test": 1},
    }
    # Whoever joins later goes where the group is.
    scene.add("patient 0", 2)
    assert scene.splits()["patient 0"] == {"validation": 4}
    assert second


def test_groups_stay_whole_whoever_changes_them_at_once(store: Store) -> None:
    scene = Patients(store, 4, 3)
    scene.group()

    def move(number: int) -> None:
        for split in ("validation", "test", "train", "validation"):
            scene.move(scene.by_patient["patient 0"][number], split)

    def draw() -> None:
        for seed in range(3):
            scene.draw(seed)

    def join() -> None:
        for _ in range(4):
            scene.add("patient 0", 2)

    at_once([lambda: move(0), lambda: move(1), draw, join])
    assert scene.torn() == []
    assert scene.splits()["patient 0"].total() == 12


def test_an_append_is_refused_after_another_addition(store: Store) -> None:
    """What rests on all images of a project does not commit beside one that it has not seen."""
    scene = Patients(store, 2)
    other = Patients(store, 1)
    scene.group()
    asked = []

    def members(project_id: str, key: str, value: str) -> tuple[Collection[str], int]:
        found = scene.members(project_id, key, value)
        asked.append(found)
        if len(asked) == 1:
            other.add("patient 0", 1)  # of another project: no reason to ask again
        if len(asked) == 1 and scene.torn() == []:
            scene.add("patient 0", 1)
        return found

    first = scene.by_patient["patient 0"][0]
    do(store, lambda s: groups.assign_split(s, first, AssignSplit("test"), members))
    assert len(asked) == 2
    assert scene.splits()["patient 0"] == {"test": 3}
