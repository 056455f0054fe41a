"""The frozen dataset of a job: images in a cache by their digest, and what is true of them."""

import hashlib
import random
import tempfile
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from stemma_trainer.contract import Concept, Line
from stemma_trainer.formats import as_coco, write_yolo
from stemma_trainer.store import JobStore

if TYPE_CHECKING:
    import pyarrow as pa

_DOWNLOADS = 8


class Item(msgspec.Struct, frozen=True):
    """An image, or with `crop` a part of one: left, top, width and height in shares of its sides.

    `concepts` are numbers of the run's concepts; `boxes` has the box of each in a detection.
    """

    image: str
    path: Path
    split: str
    concepts: tuple[int, ...]
    boxes: tuple[tuple[float, float, float, float], ...]
    crop: tuple[float, float, float, float] | None


class Split(Sequence[Item]):
    """The items of a split, or of both, in the manifest's order."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._items = list(items)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: Any) -> Any:
        return self._items[index]

    @property
    def labels(self) -> list[int]:
        """The number of each item's concept, in a classification."""
        return [item.concepts[0] for item in self._items]

    def batches(self, size: int, seed: Hashable | None = None) -> Iterator[list[Item]]:
        """Batches in the manifest's order, or in one that follows from the seed alone."""
        items = list(self._items)
        if seed is not None:
            random.Random(repr(seed)).shuffle(items)
        for start in range(0, len(items), size):
            yield items[start : start + size]

    def table(self) -> "pa.Table":
        """An Arrow table: image, path, split, concepts and boxes."""
        import pyarrow as pa

        columns = {
            "image": [item.image for item in self],
            "path": [str(item.path) for item in self],
            "split": [item.split for item in self],
            "concepts": [list(item.concepts) for item in self],
            "boxes": [[list(box) for box in item.boxes] for item in self],
        }
        return pa.table(columns)

    def torch(self, load: Callable[[Item], Any]) -> Any:
        """A `torch.utils.data.Dataset` of what `load` makes of each item."""
        from torch.utils.data import Dataset

        items = self._items

        class Items(Dataset):  # type: ignore[type-arg]
            def __len__(self) -> int:
                return len(items)

            def __getitem__(self, index: int) -> Any:
                return load(items[index])

        return Items()


class Data:
    """`train`, `validation`, and `all` of both, about these concepts."""

    def __init__(self, items: Sequence[Item], concepts: Sequence[str], kind: str) -> None:
        self.concepts, self.kind = list(concepts), kind
        self.all = Split(items)
        self.train = Split([item for item in items if item.split == "train"])
        self.validation = Split([item for item in items if item.split != "train"])

    def yolo(self, folder: str | Path) -> Path:
        """Write the dataset as Ultralytics reads it, with links into the cache; what to give as
        `data`. Raises `ValueError` for a tagging, and for crops."""
        return write_yolo(Path(folder), self.all, self.concepts, self.kind)

    def coco(self, items: Split) -> dict[str, Any]:
        """The items as COCO's JSON has them. It needs Pillow. Raises `ValueError` for crops."""
        return as_coco(items, self.concepts)


def read_data(
    store: JobStore,
    concepts: Sequence[Concept],
    kind: str,
    manifest: str,
    cache: Path,
    advance: Callable[[float], None],
) -> Data:
    """Download what the cache has not yet. Raises `ValueError` for content of another digest."""
    content = store.get("manifest")
    if hashlib.sha256(content).hexdigest() != manifest:
        raise ValueError(f"the manifest's content is not that of {manifest}")
    lines = msgspec.json.Decoder(Line).decode_lines(content)
    numbers = {concept.concept_id: number for number, concept in enumerate(concepts)}

    def download(line: Line) -> Item:
        path = cache / line.blob[:2] / line.blob
        if not path.exists():
            _keep(path, store.get(f"images/{line.image}"))
        own = tuple(numbers[concept] for concept in line.concepts)
        return Item(line.image, path, line.split, own, line.boxes, line.crop)

    items = []
    with ThreadPoolExecutor(_DOWNLOADS) as pool:
        for item in pool.map(download, lines):
            items.append(item)
            advance(len(items) / len(lines))
    return Data(items, [concept.label for concept in concepts], kind)


def _keep(path: Path, content: bytes) -> None:
    """Whole or not at all: others may read the same cache."""
    if hashlib.sha256(content).hexdigest() != path.name:
        raise ValueError(f"an image's content is not that of {path.name}; try again")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    Path(file.name).replace(path)
