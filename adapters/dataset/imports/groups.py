"""The groups of a source's images, and the splits that it has them in."""

from collections.abc import Mapping

from application.dataset.dataset import group_key_of
from application.dataset.groups import GroupIndex
from application.dataset.imports import torn
from application.log.store import Store
from domain.dataset.image import image_id


class SourceGroups:
    """The splits that a source has the images of each group in, beside those of the project."""

    def __init__(self, project_id: str, index: GroupIndex) -> None:
        self.index = index
        self._project_id = project_id
        self._declared: dict[str, tuple[str, str]] = {}

    def split(self, blob: str, metadata: Mapping[str, str]) -> str | None:
        """The split of an image's group in the source; None where it names none."""
        value = self._value(blob, metadata)
        return None if value is None else self._declared.get(value, (None, ""))[0]

    def refusal(
        self, blob: str, metadata: Mapping[str, str], split: str | None, where: str
    ) -> str | None:
        """Why the split of the image at a place would tear its group, and what to do; or None."""
        value = self._value(blob, metadata)
        if value is None or split is None:
            return None
        existing = self.index.split(value)
        if existing not in {None, split}:
            return torn(self.index.key, value, str(existing))
        first, at = self._declared.setdefault(value, (split, where))
        if first == split:
            return None
        return (
            f"its group, {self.index.key} {value!r}, is in the split {first!r} at {at}, and this"
            f" image in {split!r}; give the whole group one split"
        )

    def _value(self, blob: str, metadata: Mapping[str, str]) -> str | None:
        return self.index.group(image_id(self._project_id, blob), metadata)


def source_groups(store: Store, project_id: str) -> SourceGroups | None:
    """The groups of a project as they are now; None if it has no key of groups."""
    key = group_key_of(store, project_id)
    if key is None:
        return None
    index = GroupIndex(store, project_id, key)
    index.follow(store.head())
    return SourceGroups(project_id, index)
