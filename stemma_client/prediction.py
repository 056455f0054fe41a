"""Predictions on this machine: a version's ONNX file, run by onnxruntime (the extra `onnx`).

Images are read, cut and resized by copies of the server's own modules, as the version's training
read them; its ONNX file, which was compared with torch, scales and normalises the pixels.
"""

from __future__ import annotations

import glob
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from stemma_client import notebook
from stemma_client._generated import answers, file_format, pixels
from stemma_client.errors import ImageUnreadable, StemmaError
from stemma_client.tables import Rows, Table

if TYPE_CHECKING:
    from types import ModuleType

    import pandas
    import polars
    import pyarrow

    from stemma_client._generated.fitting import Fitted, Fitting

Images = str | Path | Sequence["str | Path"]
"""An image, a folder, a pattern such as `new/*.jpg`, or several of these."""

Box = tuple[float, float, float, float]
"""Left, top, width and height, as shares of the image's sides."""

DEFAULT_THRESHOLD = 0.5
MAX_PIXELS = 10**8
SHOWN = 5


class Scored(msgspec.Struct, frozen=True, kw_only=True):
    """A concept, or a detector's box of one, with its score."""

    concept_id: str
    label: str
    score: float
    box: Box | None = None


class PredictedImage(msgspec.Struct, frozen=True, kw_only=True):
    """What a version predicts of an image: `predicted` reach their thresholds, `discarded` do not,
    each by falling score. `error` is why a file could not be read."""

    image: str
    predicted: list[Scored] = []
    discarded: list[Scored] = []
    error: str | None = None


class PredictedImages(Rows[PredictedImage]):
    """The predictions of several images; as a table, a row for each predicted concept.

    An image of which nothing is predicted has a row without a label.
    """

    @property
    def table(self) -> Table:
        """The predictions as columns."""
        rows = [row for image in self for row in _rows_of(image)]
        names = ["image", "label", "score", "concept_id", "box", "error"]
        return Table({name: [row[name] for row in rows] for name in names})

    def to_pandas(self) -> pandas.DataFrame:
        """As a DataFrame; needs the extra `pandas`."""
        return self.table.to_pandas()

    def to_arrow(self) -> pyarrow.Table:
        """As an Arrow table; needs the extra `arrow`."""
        return self.table.to_arrow()

    def to_polars(self) -> polars.DataFrame:
        """As a DataFrame of Polars; needs the extra `polars`."""
        return self.table.to_polars()

    def _repr_html_(self) -> str:
        shown = [one for one in self[:SHOWN] if one.error is None]
        pictures = [(_caption(one), Path(one.image)) for one in shown]
        return notebook.files(pictures) + self.table._repr_html_()


def _rows_of(image: PredictedImage) -> Iterator[dict[str, Any]]:
    empty = dict.fromkeys(("label", "score", "concept_id", "box"))
    about = {"image": image.image, "error": image.error}
    for one in image.predicted:
        found = {name: getattr(one, name) for name in empty}
        yield {**about, **found, "box": list(one.box) if one.box else None}
    if not image.predicted:
        yield {**about, **empty}


def _caption(image: PredictedImage) -> str:
    return ", ".join(f"{one.label} {one.score:.2f}" for one in image.predicted) or "nothing"


class OnnxModel:
    """A version's network, from its ONNX file: that of the server, or of `stemma onnx`.

    `thresholds` are by concept id; without them, those of the time when the file was made are in
    force.
    """

    def __init__(self, path: str | Path, thresholds: Mapping[str, float] | None = None) -> None:
        onnxruntime = _onnxruntime()
        self._session: Any = onnxruntime.InferenceSession(
            str(path), providers=["CPUExecutionProvider"]
        )
        properties = self._session.get_modelmeta().custom_metadata_map
        if "stemma" not in properties:
            raise StemmaError(f"{path} is no ONNX file of Stemma's: it has no description")
        self.description = msgspec.json.decode(properties["stemma"], type=answers.ModelDescription)
        self._preprocessing = _understood(self.description)
        self._thresholds = self.description.thresholds if thresholds is None else thresholds
        (given,) = self._session.get_inputs()
        self._takes_bytes = given.type == "tensor(uint8)"

    def predict(
        self, images: Images, *, box: Box | None = None, skip_bad: bool = False
    ) -> PredictedImages:
        """Predict images. Raises `ImageUnreadable`; with `skip_bad`, such a file has an `error`.

        A version that was trained on crops predicts for `box`; without it, the image is the crop.
        """
        if box is not None and self._preprocessing.crop is None:
            raise StemmaError("the version was not trained on crops; leave `box` out")
        return PredictedImages(self._predicted(path, box, skip_bad) for path in paths_of(images))

    def _predicted(self, path: Path, box: Box | None, skip_bad: bool) -> PredictedImage:
        try:
            fitted = _read(path, self._preprocessing, box)
        except ImageUnreadable as error:
            if not skip_bad:
                raise
            return PredictedImage(image=str(path), error=str(error))
        scored = sorted(self._scored(fitted), key=lambda one: -one.score)
        reaching = [self._reaches(place, one) for place, one in enumerate(scored)]
        pairs = list(zip(scored, reaching))  # noqa: B905 (3.10)
        return PredictedImage(
            image=str(path),
            predicted=[one for one, reaches in pairs if reaches],
            discarded=[one for one, reaches in pairs if not reaches],
        )

    def _scored(self, fitted: Fitted) -> Iterator[Scored]:
        import numpy as np

        given: Any = fitted.pixels[None]
        if not self._takes_bytes:
            given = given.transpose(0, 3, 1, 2).astype(np.float32)
            mean, std = self._preprocessing.mean, self._preprocessing.std
            if mean is None or std is None:
                given = given / np.float32(255)
            else:
                shape = (1, 3, 1, 1)
                low = np.array(mean, np.float32).reshape(shape) * np.float32(255)
                given = (given - low) / (np.array(std, np.float32).reshape(shape) * np.float32(255))
        outputs = self._session.run(None, {"images": np.ascontiguousarray(given)})
        concepts = self.description.concepts
        if self.description.kind != "detection":
            for concept, score in zip(concepts, outputs[0][0].tolist()):  # noqa: B905
                yield _scored(concept, score)
            return
        offset = self.description.outputs.label_offset if self.description.outputs else 1
        boxes, labels, scores = (each.tolist() for each in outputs)
        for corners, label, score in zip(boxes, labels, scores):  # noqa: B905
            yield _scored(concepts[label - offset], score, _box(corners, fitted))

    def _reaches(self, place: int, one: Scored) -> bool:
        """Whether it is predicted, as in the version's evaluation: thresholds have 32 bits."""
        import numpy as np

        chooses_one = self.description.kind == "classification"
        default = 0.0 if chooses_one else DEFAULT_THRESHOLD
        least = float(np.float32(self._thresholds.get(one.concept_id, default)))
        return one.score >= least and (place == 0 or not chooses_one)


def _scored(concept: answers.ConceptLabel, score: float, box: Box | None = None) -> Scored:
    return Scored(concept_id=concept.concept_id, label=concept.label, score=score, box=box)


def _box(corners: Sequence[float], fitted: Fitted) -> Box:
    """A box in shares of the image, which fills a part of the pixels."""
    left, right = (min(max(side / fitted.width, 0.0), 1.0) for side in corners[::2])
    top, bottom = (min(max(side / fitted.height, 0.0), 1.0) for side in corners[1::2])
    return left, top, right - left, bottom - top


def _onnxruntime() -> ModuleType:
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise StemmaError(
            "predictions need the extra `onnx`: pip install 'stemma-client[onnx]'"
        ) from error
    module: ModuleType = onnxruntime
    return module


def _understood(model: answers.ModelDescription) -> answers.Preprocessing:
    """The version's preprocessing, if this package carries it out as the training did."""
    known = model.preprocessing
    if known is None:
        raise StemmaError(
            "the file does not say how images become its input: it was made by an older server;"
            " request it again"
        )
    if known.decoder != pixels.DECODER_RULE:
        raise StemmaError(
            f"the version reads images by rule {known.decoder}, and this package by rule"
            f" {pixels.DECODER_RULE}: install the package that the server offers at /client"
        )
    return known


def _fitting(known: answers.Preprocessing) -> Fitting:
    from stemma_client._generated.fitting import Fitting

    return Fitting(
        width=known.width,
        height=known.height,
        keeps_aspect_ratio=known.padding is not None,
        margin_crop=known.margin_crop,
        crops=known.crop is not None,
    )


def _read(path: Path, known: answers.Preprocessing, box: Box | None) -> Fitted:
    """An image as the pixels that the network takes. Raises `ImageUnreadable`."""
    with warnings.catch_warnings():
        from PIL import Image

        limit = Image.MAX_IMAGE_PIXELS
        from stemma_client._generated.decoding import Undecodable, decode
        from stemma_client._generated.fitting import fit

        try:
            image = decode(path.read_bytes(), MAX_PIXELS, grey_bits=known.grey_bits)
        except (Undecodable, OSError) as error:
            raise ImageUnreadable(f"{path}: {error}") from error
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    return fit(image, _fitting(known), box)


def paths_of(images: Images) -> list[Path]:
    """The files that are meant: those of a folder by their endings, those of a pattern sorted."""
    if not isinstance(images, (str, Path)):
        return [path for one in images for path in paths_of(one)]
    path = Path(images)
    if path.is_dir():
        found = sorted(one for one in path.rglob("*") if one.suffix.lower() in file_format.SUFFIXES)
    elif path.exists():
        found = [path]
    else:
        matching = glob.glob(str(images), recursive=True)  # noqa: PTH207 (also absolute ones)
        found = sorted(map(Path, matching))
    if not found:
        raise StemmaError(f"no images match {str(images)!r}")
    return found
